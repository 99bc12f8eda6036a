package clips

import (
	"math"

	"github.com/rtap/rtap/pkg/wav"
)

const (
	// lobes of the sinc on each side; the stop band then lies below 16-bit noise.
	lobes = 32
	// passband is how much of the narrower band is kept; the rest is the slope.
	passband = 0.95
)

// Resample brings a recording to 16 kHz with a windowed sinc, whose weights
// repeat after as many outputs as the ratio's reduced form has.
func Resample(a wav.Audio) []float32 {
	const to = SampleRateHz
	if a.SampleRateHz == to {
		return a.PCM
	}
	common := divisor(a.SampleRateHz, to)
	up, down := to/common, a.SampleRateHz/common
	cutoff := passband * math.Min(1, float64(up)/float64(down)) // in halves of the input's rate
	reach := int(math.Ceil(lobes / cutoff))
	weights := make([][]float64, up)
	for phase := range weights {
		weights[phase] = taps(float64(phase)/float64(up), cutoff, reach)
	}
	out := make([]float32, len(a.PCM)*up/down)
	for i := range out {
		at := i * down
		var sum float64
		for k, w := range weights[at%up] {
			if j := at/up + k - reach + 1; j >= 0 && j < len(a.PCM) {
				sum += w * float64(a.PCM[j])
			}
		}
		out[i] = float32(sum)
	}
	return out
}

// taps are the weights of the 2·reach samples around a place so far behind a sample.
func taps(behind, cutoff float64, reach int) []float64 {
	out := make([]float64, 2*reach)
	for k := range out {
		x := float64(k-reach+1) - behind
		w := cutoff
		if x != 0 {
			w = math.Sin(math.Pi*cutoff*x) / (math.Pi * x)
		}
		// Blackman's window.
		turn := math.Pi * x / float64(reach)
		out[k] = w * max(0, 0.42+0.5*math.Cos(turn)+0.08*math.Cos(2*turn))
	}
	return out
}

func divisor(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
