package test

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
)

func TestNoiseAndSilenceGiveNoText(t *testing.T) {
	const second = 16000
	var pcm []float32
	pcm = append(pcm, make([]float32, 20*second)...)
	pcm = append(pcm, testkit.Noise(20*second, 0.02)...)
	pcm = append(pcm, testkit.Noise(20*second, 0.5)...)
	for i := range 20 * second {
		pcm = append(pcm, 0.3*float32(math.Sin(2*math.Pi*50*float64(i)/second)))
	}
	p := up(t, "--until-done", "--source", "file:"+testkit.WriteWAV(t, pcm)+"?pace=fast")
	if got := p.finals(t); len(got) != 0 {
		t.Errorf("finals out of nothing: %v", got)
	}
}

// TestWordErrorRate plays every recording that has a text through the real processes.
func TestWordErrorRate(t *testing.T) {
	type clip struct{ File, Text string }
	clips := []clip{{"jfk.wav", jfk}}
	limit := 15.0 // one word in seven of a single clip
	if raw, err := os.ReadFile(filepath.Join(os.Getenv("RTAP_TEST_AUDIO"), "manifest.json")); err == nil {
		clips, limit = nil, 5
		if err := json.Unmarshal(raw, &clips); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--until-done", "--stt", "2", "--set", "stt.interim_interval_ms=0"}
	for _, c := range clips {
		args = append(args, "--source", "file:"+testkit.Audio(t, c.File)+"?pace=fast")
	}
	got := up(t, args...).finals(t)
	errs, words := 0, 0
	for _, c := range clips {
		hyp := text(got[strings.TrimSuffix(c.File, ".wav")])
		e, w := wer.Errors(c.Text, hyp)
		errs, words = errs+e, words+w
		if e > 0 {
			t.Logf("%s: %d of %d words wrong: %s", c.File, e, w, hyp)
		}
	}
	wer := 100 * float64(errs) / float64(words)
	t.Logf("word error rate %.1f (%d of %d words)", wer, errs, words)
	if wer >= limit {
		t.Errorf("word error rate %.1f, want below %.0f", wer, limit)
	}
}
