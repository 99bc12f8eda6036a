package stream

import "testing"

// TestLoudness draws levels of frames; the first begins a segment. Below each stands what is
// silence by loudness alone.
func TestLoudness(t *testing.T) {
	of := func(amplitude int16) []int16 {
		pcm := make([]int16, frame)
		for i := range pcm {
			pcm[i] = amplitude * int16(1-2*(i%2))
		}
		return pcm
	}
	for name, tt := range map[string]struct {
		amplitudes []int16
		p          float64
		drop       float64
		want       []bool
	}{
		"a word ends, the detector lags":   {[]int16{8000, 8000, 100, 50}, 0.95, 35, []bool{false, false, true, true}},
		"a soft ending":                    {[]int16{8000, 8000, 400, 200}, 0.95, 35, []bool{false, false, false, false}},
		"a noisy room":                     {[]int16{8000, 900, 900}, 0.2, 35, []bool{false, false, false}},
		"turned off":                       {[]int16{8000, 1, 0}, 0.95, 0, []bool{false, false, false}},
		"a whisper after a shout, at once": {[]int16{32000, 300}, 0.95, 35, []bool{false, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var l loudness
			l.begin(of(tt.amplitudes[0]))
			for i, a := range tt.amplitudes {
				if got := l.silent(of(a), tt.p, 0.5, tt.drop); got != tt.want[i] {
					t.Errorf("frame %d: silent %v", i, got)
				}
			}
		})
	}
	// A low voice that goes on is speech again after a while.
	var l loudness
	l.begin(of(32000))
	heard := false
	for range 31 * 5 {
		heard = !l.silent(of(300), 0.9, 0.5, 35)
	}
	if !heard {
		t.Error("a whisper that goes on is never heard")
	}
}
