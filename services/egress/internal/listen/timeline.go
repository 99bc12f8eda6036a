package listen

import (
	"math"
	"sync"

	"github.com/rtap/rtap/pkg/ingest"
)

// timeline turns times of the stream into times of the client's audio. They differ behind a
// Finalize, where the stream's last frame was filled up with silence.
type timeline struct {
	format ingest.Format

	mu   sync.Mutex
	runs []ingest.Run
}

func newTimeline(f ingest.Format) *timeline {
	return &timeline{format: f, runs: []ingest.Run{{}}}
}

// finalize notes that the client asked for a final at a byte, and says whether anything had
// come since it last did.
func (t *timeline) finalize(byteOffset uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.runs[len(t.runs)-1]
	next := t.format.After(last, byteOffset)
	if next == last {
		return false
	}
	t.runs = append(t.runs, next)
	return true
}

// client returns the second of the client's audio for one of the stream's.
func (t *timeline) client(seconds float64) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := len(t.runs) - 1; i >= 0; i-- {
		began := float64(t.runs[i].Frame) * ingest.FrameSamples / ingest.SampleRateHz
		if seconds < began && i > 0 {
			continue
		}
		at := t.format.Seconds(t.runs[i].ByteOffset) + seconds - began
		if i+1 < len(t.runs) {
			at = min(at, t.format.Seconds(t.runs[i+1].ByteOffset)) // within the silence
		}
		return math.Round(at*10000) / 10000
	}
	return seconds
}
