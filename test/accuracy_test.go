package test

import (
	"math"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
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
	clips, all := recordings(t)
	limit := 15.0 // one word in seven of a single clip
	if all {
		limit = 5
	}
	if got := rate(t, clips, "--stt", "2"); got >= limit {
		t.Errorf("word error rate %.1f, want below %.0f", got, limit)
	}
}
