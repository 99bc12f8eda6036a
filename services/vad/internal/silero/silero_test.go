package silero_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/vad/internal/silero"
)

func open(t testing.TB) *silero.Stream {
	t.Helper()
	m, err := silero.New()
	testkit.RequireNative(t, err)
	s, err := m.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = s.Close(), m.Close() })
	return s
}

// share returns how many frames count as speech, 0 to 1.
func share(t *testing.T, s *silero.Stream, pcm []float32) float64 {
	t.Helper()
	speech, frames := 0, 0
	for ; len(pcm) >= silero.FrameSamples; pcm = pcm[silero.FrameSamples:] {
		p, err := s.Probability(pcm[:silero.FrameSamples])
		if err != nil {
			t.Fatal(err)
		}
		if p >= 0.5 {
			speech++
		}
		frames++
	}
	return float64(speech) / float64(frames)
}

func TestSpeechAndNoise(t *testing.T) {
	s := open(t)
	if got := share(t, s, testkit.PCM(t, "jfk.wav")); got < 0.5 || got > 0.95 {
		t.Errorf("jfk: %.2f of the frames are speech", got)
	}
	for name, pcm := range map[string][]float32{
		"silence": make([]float32, 160000), "noise": testkit.Noise(160000, 0.1),
		"not a number": {512: float32(math.NaN()), 1024: float32(math.Inf(1)), 16000: 0},
	} {
		s.Reset()
		if got := share(t, s, pcm); got > 0.02 {
			t.Errorf("%s: %.2f of the frames are speech", name, got)
		}
	}
	if _, err := s.Probability([]float32{0.1}); err != nil {
		t.Errorf("short frame: %v", err)
	}
}

func TestStateRoundTrip(t *testing.T) {
	s := open(t)
	pcm := testkit.PCM(t, "jfk.wav")
	share(t, s, pcm[:32000])
	saved := bytes.Clone(s.State())
	want, _ := s.Probability(pcm[32000:32512])
	s.Reset()
	if err := s.SetState(saved); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Probability(pcm[32000:32512]); got != want {
		t.Errorf("after restoring %v, want %v", got, want)
	}
	if err := s.SetState(saved[1:]); err == nil {
		t.Error("a cut state was taken")
	}
}

func BenchmarkFrame(b *testing.B) {
	s := open(b)
	frame := testkit.Noise(silero.FrameSamples, 0.1)
	for b.Loop() {
		if _, err := s.Probability(frame); err != nil {
			b.Fatal(err)
		}
	}
}
