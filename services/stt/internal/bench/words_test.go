package bench

import (
	"math"
	"testing"
)

func TestConfidence(t *testing.T) {
	for name, tt := range map[string]struct {
		right, wrong []float64
		auc          float64
	}{
		"apart":       {[]float64{0.9, 0.8}, []float64{0.1, 0.2}, 1},
		"the reverse": {[]float64{0.1}, []float64{0.9}, 0},
		"ties":        {[]float64{0.5, 0.5}, []float64{0.5}, 0.5},
		"mixed":       {[]float64{0.9, 0.3}, []float64{0.5, 0.1}, 0.75},
		"none wrong":  {[]float64{0.9}, nil, 0.5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := confidence(tt.right, tt.wrong); math.Abs(got.AUC-tt.auc) > 1e-9 || got.Right != len(tt.right) {
				t.Errorf("got %+v, want %g", got, tt.auc)
			}
		})
	}
}

func TestNoisyHasItsRatio(t *testing.T) {
	pcm := make([]float32, 16000)
	for i := range pcm {
		pcm[i] = float32(math.Sin(float64(i)))
	}
	out := noisy(pcm, 10, 1)
	for i := range out {
		out[i] -= pcm[i]
	}
	if got := 10 * math.Log10(power(pcm)/power(out)); math.Abs(got-10) > 0.1 {
		t.Errorf("%.2f dB, want 10", got)
	}
}
