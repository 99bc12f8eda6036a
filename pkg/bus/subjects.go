// Package bus is RTAP's side of NATS: the subjects, the streams and buckets, and the
// writes whose order and conditions the pipeline's promises rest on.
package bus

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Streams and buckets.
const (
	StreamAudio       = "RTAP_AUDIO"
	StreamIngest      = "RTAP_INGEST"
	StreamDrafts      = "RTAP_DRAFTS"
	StreamJobs        = "RTAP_JOBS"
	StreamResults     = "RTAP_RESULTS"
	StreamTranscripts = "RTAP_TRANSCRIPTS"
	StreamDead        = "RTAP_DEAD"
	StreamEvents      = "RTAP_EVENTS"
	BucketLeases      = "rtap_leases"
	BucketCheckpoints = "rtap_checkpoints"
	BucketConfig      = "rtap_config"
)

// Wildcards over all streams of audio.
const (
	AllAudio    = prefix + "audio.*"
	AllIngest   = prefix + "ingest.*"
	AllResults  = prefix + "result.>"
	AllFinals   = prefix + "transcript.*.final"
	AllInterims = prefix + "transcript.*.interim"
	AllVad      = prefix + "vad.>"
	AllEvents   = prefix + "event.>"
	AllFinalJob = prefix + "job.final.*"
	AllDrafts   = prefix + "job.draft.*"
	// AllSpeculative are drafts up to a segment's presumed end.
	AllSpeculative = prefix + "job.speculative.*"
	// AllReady are closed segments whose text is a draft's.
	AllReady = prefix + "job.ready.*"
	// ControlStatus is the micro endpoint on which every process says how it is.
	ControlStatus = prefix + "control.status"
)

const prefix = "rtap.v1."

// ErrStreamID is returned for a stream id that breaks the rule.
var ErrStreamID = errors.New("bad stream id")

var streamID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidateStreamID refuses what cannot stand in a subject.
func ValidateStreamID(id string) error {
	if !streamID.MatchString(id) {
		return fmt.Errorf("%w %q: want 1 to 64 of the characters A-Z a-z 0-9 _ -", ErrStreamID, id)
	}
	return nil
}

// Audio is where a stream's frames go.
func Audio(stream string) string { return prefix + "audio." + stream }

// Draft is where a stream's draft jobs go.
func Draft(stream string) string { return prefix + "job.draft." + stream }

// Speculative is where a stream's drafts up to a segment's presumed end go.
func Speculative(stream string) string { return prefix + "job.speculative." + stream }

// DraftResult is where workers say what became of a stream's drafts.
func DraftResult(stream string) string { return prefix + "draft." + stream }

// ReadyJob is where a stream's closed segments go whose text is known already.
func ReadyJob(stream string) string { return prefix + "job.ready." + stream }

// Ingest is where audio goes as a remote client sent it.
func Ingest(stream string) string { return prefix + "ingest." + stream }

// FinalJob is where a stream's closed segments go.
func FinalJob(stream string) string { return prefix + "job.final." + stream }

// Result is where what became of an ordinal goes.
func Result(stream string, ordinal uint64) string {
	return prefix + "result." + stream + "." + strconv.FormatUint(ordinal, 10)
}

// ResultsOf matches a stream's results, late ones left out.
func ResultsOf(stream string) string { return prefix + "result." + stream + ".*" }

// ResultLate is where a success after a dead result goes.
func ResultLate(stream string, ordinal uint64) string { return Result(stream, ordinal) + ".late" }

// Interim is where a stream's preliminary texts go.
func Interim(stream string) string { return prefix + "transcript." + stream + ".interim" }

// Final is a stream's transcript log.
func Final(stream string) string { return prefix + "transcript." + stream + ".final" }

// IsFinal says whether a subject is that of a transcript log.
func IsFinal(subject string) bool {
	return strings.HasPrefix(subject, prefix+"transcript.") && strings.HasSuffix(subject, ".final")
}

// Vad is where a stream's events of a kind (started, stopped, level) go.
func Vad(stream, kind string) string { return prefix + "vad." + stream + "." + kind }

// Dead is where a stream's given-up jobs go.
func Dead(stream string) string { return prefix + "dead." + stream }

// Event is where a service's events of a kind go.
func Event(service, kind string) string { return prefix + "event." + service + "." + kind }

// Control is where a process is asked a question of pkg/control.
func Control(question, instance string) string {
	return prefix + "control." + question + "." + strings.ReplaceAll(instance, ".", "_")
}

// StreamOf returns the stream id in a subject of audio, jobs, results, vad or transcripts.
func StreamOf(subject string) string {
	parts := strings.Split(strings.TrimPrefix(subject, prefix), ".")
	switch {
	case len(parts) >= 3 && parts[0] == "job":
		return parts[2]
	case len(parts) >= 2:
		return parts[1]
	default:
		return ""
	}
}
