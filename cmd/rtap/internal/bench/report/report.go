// Package report is the outcome of a bench of the pipeline: what its JSON holds, its goals,
// its tables, its page, and how two of them compare.
package report

import (
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
)

// Schema is the version of the JSON.
const Schema = 1

// Least is how many ends of speech a figure that is published must rest on.
const Least = 300

// Report is one run. Latencies are in milliseconds, rates are fractions, CPU is in per
// cent of one core, memory in MB of 2^20 bytes.
type Report struct {
	Schema  int       `json:"schema"`
	At      time.Time `json:"at"`
	Version string    `json:"version"`
	Machine Machine   `json:"machine"`
	Setup   Setup     `json:"setup"`
	Goals   []Goal    `json:"goals"`

	// Utterances are the ends of speech that a figure rests on.
	Utterances  int                  `json:"utterances"`
	Publishable bool                 `json:"publishable"`
	StartMS     float64              `json:"start_ms"` // from the command to ready
	Fsync       measure.Distribution `json:"fsync_ms"`
	Latency     Latency              `json:"latency_ms"`
	Ends        measure.Ends         `json:"ends"`
	Words       measure.Interims     `json:"interims"`
	Accuracy    measure.Accuracy     `json:"accuracy"`
	Reference   *Reference           `json:"reference,omitempty"`
	Loss        Loss                 `json:"loss"`
	Speculation Speculation          `json:"speculation"`
	Load        Load                 `json:"load"`
	Processes   []Process            `json:"processes"`
	// Counters are the pipeline's own, by how much they grew while it was spoken.
	Counters map[string]float64 `json:"counters"`
	// Storage is what the server's streams hold at the end.
	Storage map[string]rig.Stored `json:"storage"`
	Series  []Point               `json:"series"`
}

// Machine is where it ran.
type Machine struct {
	CPU     string  `json:"cpu"`
	Cores   int     `json:"cores"`
	Threads int     `json:"threads"`
	Usable  int     `json:"usable_threads"` // what a container's limit leaves
	Memory  float64 `json:"memory_mb"`
	Kernel  string  `json:"kernel"`
	// Others is CPU that other programs used meanwhile; with much of it no figure holds.
	Others float64 `json:"other_cpu"`
	Steal  float64 `json:"stolen_cpu"` // by other virtual machines
}

// Setup is what was run.
type Setup struct {
	Streams       int      `json:"streams"`
	STT           int      `json:"stt"`
	Via           string   `json:"via"`
	Profile       string   `json:"profile"`
	Settings      []string `json:"settings"`
	Interims      bool     `json:"interims"`
	Model         string   `json:"model"`
	Clips         int      `json:"clips"`
	Labelled      int      `json:"labelled"`
	Seed          uint64   `json:"seed"`
	Seconds       float64  `json:"seconds"`        // of audio, of each stream
	SpeechSeconds float64  `json:"speech_seconds"` // of all streams
}

// Latency is every time in ms.
type Latency struct {
	Pipeline measure.Distribution `json:"pipeline"`
	TTFS     measure.Distribution `json:"ttfs"`
	// The same by how the end of speech is known.
	TTFSHand  measure.Distribution `json:"ttfs_hand_labels"`
	TTFSRule  measure.Distribution `json:"ttfs_energy_rule"`
	Closing   measure.Distribution `json:"closing"` // audio time from the end of speech to the closing
	Interim   measure.Distribution `json:"interim"`
	Committed measure.Distribution `json:"committed_interim"`
	Decode    measure.Distribution `json:"decode"` // of finals
	Queue     measure.Distribution `json:"queue"`
	Transport measure.Distribution `json:"transport"`
}

// Reference is the same model on utterances cut at 700 ms of silence, each heard alone.
type Reference struct {
	measure.Accuracy
	// Difference is that of the live rate from this one.
	Difference measure.Difference `json:"difference"`
}

// Loss is what must be nought.
type Loss struct {
	measure.Disorder
	Unended     int `json:"streams_without_an_end"`
	Undelivered int `json:"undelivered"` // finals in the log that the feed did not give
	Dead        int `json:"dead"`        // processes that had to be started again
}

// Speculation says what the drafts at presumed ends were good for.
type Speculation struct {
	Finals   int                `json:"finals"`
	Hits     int                `json:"hits"`
	Outcomes map[string]float64 `json:"outcomes"`
	// WastedSeconds is how long inferences ran whose drafts no final came of; they may have used more threads than one.
	WastedSeconds float64 `json:"wasted_inference_seconds"`
}

// Load is what the work cost.
type Load struct {
	IdleCPU     float64 `json:"idle_cpu"`
	SpeakingCPU float64 `json:"speaking_cpu"`
	RSSMB       float64 `json:"rss_mb"`     // at the end
	RSSMaxMB    float64 `json:"rss_max_mb"` // the largest sum
	// GrowthMB is MB per hour, by a line through the second half of the run.
	GrowthMB float64 `json:"rss_growth_mb_per_hour"`
	RTF      float64 `json:"real_time_factor"`            // inference time of finals per second of their audio
	CPUHour  float64 `json:"cpu_seconds_per_stream_hour"` // of all processes, per hour of one stream
	// Shed is all that was given up on purpose, by reason; ShedDrafts is what of it is drafts.
	Shed       map[string]float64   `json:"shed"`
	ShedDrafts float64              `json:"shed_drafts"`
	VADMS      measure.Distribution `json:"vad_frame_ms"`
	// Buffer is the highest utilisation that was seen; nil when no process told it.
	Buffer *float64 `json:"buffer_utilization"`
}

// Process is one process's share.
type Process struct {
	Name        string  `json:"name"`
	IdleCPU     float64 `json:"idle_cpu"`
	SpeakingCPU float64 `json:"speaking_cpu"`
	RSSStartMB  float64 `json:"rss_start_mb"`
	RSSEndMB    float64 `json:"rss_end_mb"`
	RSSMaxMB    float64 `json:"rss_max_mb"`
	// KB of 1000 bytes a second while it was spoken: read and written, mostly from and to
	// other processes, and what of it went to the disk.
	ReadKB    float64 `json:"read_kb_per_second"`
	WrittenKB float64 `json:"written_kb_per_second"`
	DiskKB    float64 `json:"disk_kb_per_second"`
}

// Point is one moment of the run.
type Point struct {
	Second float64 `json:"second"` // of the audio
	CPU    float64 `json:"cpu"`
	RSSMB  float64 `json:"rss_mb"`
}

// Goal is one line of what is to be reached.
type Goal struct {
	Name    string `json:"name"`
	Goal    string `json:"goal"`
	Figure  string `json:"figure"`
	Verdict string `json:"verdict"`
}

// Verdicts.
const (
	Reached    = "reached"
	Missed     = "MISSED"
	Noise      = "within noise"
	Unmeasured = "not measured"
)

// Missed counts the goals that were.
func (r *Report) Missed() (n int) {
	for _, g := range r.Goals {
		if g.Verdict == Missed {
			n++
		}
	}
	return n
}
