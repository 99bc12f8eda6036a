package listen

import (
	"math"
	"testing"

	"github.com/rtap/rtap/pkg/ingest"
)

// TestTimesAreTheClients: behind each Finalize the stream is ahead of the client's audio by
// the silence that filled up a frame.
func TestTimesAreTheClients(t *testing.T) {
	f := ingest.Format{SampleRateHz: 8000, Channels: 1}
	tl := newTimeline(f)
	if tl.finalize(0) || tl.finalize(1) {
		t.Error("a Finalize without audio makes something final")
	}
	at := uint64(0)
	frame := uint64(0)
	for _, samples := range []uint64{1000, 256, 1, 8000} {
		at += 2 * samples
		if !tl.finalize(at) || tl.finalize(at) {
			t.Fatalf("Finalize at byte %d", at)
		}
		frame += 2*samples/512 + 1
		begins := float64(frame) * 0.032
		for _, d := range []float64{0, 0.5} {
			if got, want := tl.client(begins+d), f.Seconds(at)+d; math.Abs(got-want) > 1e-4 {
				t.Errorf("%.4f s of the stream is %.4f s, want %.4f", begins+d, got, want)
			}
		}
		if got := tl.client(begins - 1e-6); math.Abs(got-f.Seconds(at)) > 1e-4 {
			t.Errorf("within the silence: %.4f s, want %.4f", got, f.Seconds(at))
		}
	}
	if got := tl.client(0.1); got != 0.1 {
		t.Errorf("before the first Finalize 0.1 s is %.4f", got)
	}
}
