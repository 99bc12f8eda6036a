package bench

import (
	"math"
	"testing"
)

func tone(hz, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(0.5 * math.Sin(2*math.Pi*float64(hz*i)/16000))
	}
	return out
}

// TestCut puts silences of a second into a tone; long audio must be cut inside them.
func TestCut(t *testing.T) {
	for name, tt := range map[string]struct {
		seconds float64
		cuts    []float64 // seconds where the silences begin
	}{
		"short":             {3, nil},
		"as long as may be": {15, nil},
		"a little too long": {15.5, []float64{7}},
		"long":              {44, []float64{12, 22, 33}},
	} {
		t.Run(name, func(t *testing.T) {
			pcm := tone(300, int(tt.seconds*16000))
			for _, s := range tt.cuts {
				clear(pcm[int(s*16000):int((s+1)*16000)])
			}
			pieces, n := cut(pcm), 0
			if len(pieces) != len(tt.cuts)+1 {
				t.Fatalf("%d pieces", len(pieces))
			}
			for i, p := range pieces {
				n += len(p)
				if i < len(tt.cuts) && (seconds(n) < tt.cuts[i] || seconds(n) > tt.cuts[i]+1) {
					t.Errorf("cut at %.2f s, want at %.0f to %.0f", seconds(n), tt.cuts[i], tt.cuts[i]+1)
				}
			}
			if n != len(pcm) {
				t.Errorf("%d of %d samples", n, len(pcm))
			}
		})
	}
	for _, p := range cut(tone(300, 70*16000)) {
		if len(p) > longestSegment || len(p) < shortestSegment {
			t.Errorf("without a pause: a piece of %.1f s", seconds(len(p)))
		}
	}
}
