package obs

import (
	"sync"
	"time"
)

const (
	// maxStreams is how many streams have a label of their own at a time.
	maxStreams = 256
	// otherStreams is the label of the rest; no stream can be called so.
	otherStreams = "(other)"
	// forgetAfter is how long after its last final or interim a stream keeps its label.
	forgetAfter = time.Hour
)

// errorKinds are the kinds of rtap_errors_total that each stage counts.
var errorKinds = map[string][]string{
	"capture": {"bad_chunk", "chunks_lost", "device_lost", "listen", "overrun", "ring_overrun"},
	"vad":     {"audio_expired", "bad_frame", "follow", "gap", "jobs_full", "taken"},
	"stt":     {"bad_draft", "bad_job", "clock_set_back", "dead", "draft", "engine", "fetch", "hang", "redelivered", "reload", "store"},
	"egress":  {"bad_event", "bad_final", "bad_interim", "bad_result", "dead_segment", "http", "listen_not_stored", "retention", "sequencer", "zmq"},
}

// sharedErrorKinds are those that package service counts for every stage.
var sharedErrorKinds = []string{"disk_full", "stream_drift"}

// shedReasons are the reasons of rtap_shed_total that a stage counts, where all of them are known.
var shedReasons = map[string][]string{"vad": {"draft_not_sent", "draft_unanswered", "short_speech"}}

// What became of the draft that was to be decoded before a segment closed.
const (
	SpeculationHit       = "hit"             // it was there
	SpeculationHitWaited = "hit_waited"      // it was there a moment later
	SpeculationLateHit   = "late_hit"        // vad did not wait for it, but its worker took the final from it
	SpeculationLate      = "late"            // a worker was still at it
	SpeculationShed      = "shed"            // no worker had begun with it
	SpeculationDropped   = "dropped"         // a worker gave it up
	SpeculationResumed   = "resumed"         // speech went on
	SpeculationChanged   = "changed"         // the segment closed with other audio or another context
	SpeculationShort     = "dropped_segment" // the segment was too short to be speech
	SpeculationHeldBack  = "held_back"       // there was none, since a worker had refused the one before
	SpeculationNone      = "none"            // there was none for another reason
)

var speculationOutcomes = []string{
	SpeculationHit, SpeculationHitWaited, SpeculationLateHit, SpeculationLate, SpeculationShed, SpeculationDropped,
	SpeculationResumed, SpeculationChanged, SpeculationShort, SpeculationHeldBack, SpeculationNone,
}

// streamLabels bounds how many streams have metrics of their own.
type streamLabels struct {
	mu   sync.Mutex
	used map[string]time.Time
}

func newStreamLabels() *streamLabels { return &streamLabels{used: map[string]time.Time{}} }

// Stream is the value of the label stream for id: the id itself, or "(other)" while 256
// other streams have theirs. A label is removed when it has not been asked for in an hour.
func (m *Metrics) Stream(id string) string { return m.streams.label(id, time.Now()) }

func (l *streamLabels) label(id string, now time.Time) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.used[id]; !known && len(l.used) >= maxStreams {
		return otherStreams
	}
	l.used[id] = now
	return id
}

// idle forgets what was last used before a moment and returns it.
func (l *streamLabels) idle(before time.Time) (gone []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, at := range l.used {
		if at.Before(before) {
			gone = append(gone, id)
			delete(l.used, id)
		}
	}
	return gone
}
