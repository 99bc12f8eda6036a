package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// monologue is over a minute of speech without a pause, and its text.
func monologue(t *testing.T) (pcm []float32, said string) {
	t.Helper()
	const repeats = 10
	return slices.Repeat(testkit.Breathless(testkit.PCM(t, "jfk.wav")), repeats), strings.TrimSpace(strings.Repeat(jfk+" ", repeats))
}

// uncovered fails when a monologue's finals are not cut, overlap, or leave out more than a twentieth of it.
func uncovered(t *testing.T, samples int, finals []*rtapv1.Results) {
	t.Helper()
	forced, heard, seconds := 0, 0.0, float64(samples)/16000
	for i, r := range finals {
		if !r.GetSpeechFinal() {
			forced++
		}
		if heard += r.GetDuration(); r.GetDuration() > 15.1 {
			t.Errorf("a segment of %.1f s", r.GetDuration())
		}
		if i > 0 && r.GetStart() < finals[i-1].GetStart()+finals[i-1].GetDuration()-0.001 {
			t.Errorf("a segment begins at %.2f s within the one before", r.GetStart())
		}
	}
	t.Logf("%d segments with %.1f s of %.1f, %d forced cuts: %s", len(finals), heard, seconds, forced, text(finals))
	if forced == 0 || heard < 0.95*seconds {
		t.Errorf("finals have %.1f s of %.1f, %d forced cuts", heard, seconds, forced)
	}
}

// TestMonologue: a minute without a pause is cut, and no cut loses or doubles a word.
func TestMonologue(t *testing.T) {
	pcm, want := monologue(t)
	finals := up(t, "--until-done", "--set", "stt.interim_interval_ms=0", "--source", record(t, "m", 16000, pcm)).finals(t)["m"]
	uncovered(t, len(pcm), finals)
	wrong, words := wer.Errors(want, text(finals))
	if heard := len(strings.Fields(text(finals))); 3*wrong > words || 20*heard < 19*words || 20*heard > 21*words {
		t.Errorf("%d of %d words wrong, %d heard", wrong, words, heard)
	}
}

// TestLatencyDoesNotGrow plays a monologue, and two people at once, at the pace of speech and with all that the
// default profile does: all of it becomes final, and what is said at the end waits no longer than what was at the beginning.
func TestLatencyDoesNotGrow(t *testing.T) {
	pcm, _ := monologue(t)
	heard := up(t, "--until-done", "--source", recorded(t, "realtime", "alone", 16000, pcm),
		"--source", recorded(t, "realtime", "two", 16000, slices.Repeat(two(testkit.PCM(t, "jfk.wav")), 6))).finals(t)
	uncovered(t, len(pcm), heard["alone"])
	for _, stream := range []string{"alone", "two"} {
		steady(t, stream, heard[stream])
	}
}

// steady fails when a stream's finals take longer and longer.
func steady(t *testing.T, stream string, finals []*rtapv1.Results) {
	t.Helper()
	if len(finals) < 4 {
		t.Fatalf("%s: %d finals", stream, len(finals))
	}
	var took []float64
	for _, r := range finals {
		took = append(took, r.GetRtap().GetLatencyMs().GetPipeline())
	}
	t.Logf("%s: %.0f ms", stream, took)
	if grows(took) {
		t.Errorf("%s: the latency of finals grows: %.0f ms", stream, took)
	}
}

// grows says whether the last finals took longer than the first ones. Finals are released in order, so one that waits
// in a queue delays those behind it, while what a busy machine makes of a single one is no growth: of
// each end the shortest counts, three times and three seconds more.
func grows(ms []float64) bool {
	part := max(2, len(ms)/4)
	return slices.Min(ms[len(ms)-part:]) > 3*slices.Min(ms[:part])+3000
}

// TestGrows: what a queue makes of latencies, and what a busy machine does.
func TestGrows(t *testing.T) {
	for name, tt := range map[string]struct {
		ms   []float64
		want bool
	}{
		"steady":                       {[]float64{609, 795, 584, 953, 1523, 45, 642}, false},
		"a slow machine":               {[]float64{4000, 9000, 3500, 8000, 12000, 9000, 6000}, false},
		"the last one was unlucky":     {[]float64{200, 300, 250, 300, 280, 250, 9000}, false},
		"a queue, a third too slow":    {[]float64{500, 2500, 4500, 6500, 8500, 10500, 12500}, true},
		"a queue that began later":     {[]float64{500, 300, 400, 350, 300, 6000, 9000}, true},
		"each waits for one before it": {[]float64{600, 1300, 2100, 3200, 4900, 7400, 11000}, true},
	} {
		if got := grows(tt.ms); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
