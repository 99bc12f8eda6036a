package soxr_test

import (
	"math/rand/v2"
	"testing"

	"github.com/rtap/rtap/services/capture/internal/soxr"
)

var rates = []int{8000, 8009, 11025, 12345, 22050, 44100, 47999, 48000}

// convert pushes in pieces of at most n samples and flushes.
func convert(t *testing.T, rate, n int, in []float32) (out []float32) {
	t.Helper()
	r, err := soxr.New(rate, 16000)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		piece := in[:min(n, len(in))]
		if len(in) == 0 {
			piece = nil
		}
		got, err := r.Push(piece)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, got...)
		if len(in) == 0 {
			return out
		}
		in = in[len(piece):]
	}
}

func noise(n int) []float32 {
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]float32, n)
	for i := range out {
		out[i] = r.Float32() - 0.5
	}
	return out
}

// TestHowManySamples: audio of a known length gives a known number of samples, however it
// is cut, so that positions can be counted.
func TestHowManySamples(t *testing.T) {
	for _, rate := range rates {
		for _, n := range []int{1, 100, 511, 12345, 100000} {
			for _, piece := range []int{7, rate / 50, n} {
				want := (2*n*16000 + rate) / (2 * rate)
				if got := len(convert(t, rate, piece, make([]float32, n))); got < want-1 || got > want+1 {
					t.Errorf("%d samples at %d Hz in pieces of %d: %d, want %d", n, rate, piece, got, want)
				}
			}
		}
	}
}

// TestBeginningInTheMiddle: a resampler that begins at a later sample gives the same audio
// after less than 25 ms, so that a successor can go on where another stopped.
func TestBeginningInTheMiddle(t *testing.T) {
	for _, rate := range rates {
		divisor, rest := rate, 16000
		for rest > 0 {
			divisor, rest = rest, divisor%rest
		}
		in := noise(3 * rate)
		whole, part := convert(t, rate, rate/50, in), convert(t, rate, rate/50, in[rate/divisor*divisor:])
		at := 16000 / divisor * divisor
		for i, x := range part[400 : len(part)-400] {
			if d := x - whole[at+400+i]; d > 1e-6 || d < -1e-6 {
				t.Fatalf("%d Hz: sample %d differs by %g", rate, 400+i, d)
			}
		}
	}
}
