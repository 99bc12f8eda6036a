package soxr_test

import (
	"math"
	"testing"

	"github.com/rtap/rtap/services/capture/internal/soxr"
)

// tone passes a sine through the resampler and returns its gain in dB, edges left out.
func tone(t *testing.T, from int, hz float64) float64 {
	t.Helper()
	r, err := soxr.New(from, 16000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	in := make([]float32, 2*from)
	for i := range in {
		in[i] = float32(math.Sin(2 * math.Pi * hz * float64(i) / float64(from)))
	}
	var out []float32
	for len(in) > 0 {
		n := min(len(in), 1000)
		got, err := r.Push(in[:n])
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
		in = in[n:]
	}
	rest, err := r.Push(nil)
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, rest...)
	if len(out) < 31990 || len(out) > 32010 {
		t.Errorf("%d Hz: %d samples, want 32000", from, len(out))
	}
	var sum float64
	for _, x := range out[4000:28000] {
		sum += float64(x) * float64(x)
	}
	return 10 * math.Log10(2*sum/24000+1e-20)
}

func TestPassesSpeechAndStopsAliases(t *testing.T) {
	for _, rate := range []int{8000, 22050, 44100, 48000, 96000} {
		if got := tone(t, rate, 1000); math.Abs(got) > 0.1 {
			t.Errorf("%d Hz: 1 kHz comes through at %.2f dB", rate, got)
		}
		if rate >= 44100 {
			if got := tone(t, rate, 10000); got > -80 {
				t.Errorf("%d Hz: 10 kHz folds back at %.1f dB", rate, got)
			}
		}
	}
}
