package measure_test

import (
	"math"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/material"
)

// counting has half a second of speech that ends at each of the seconds 1 to n.
func counting(name string, n int) *material.Recording {
	r := &material.Recording{Stream: name, Samples: (n + 1) * rateHz}
	for i := 1; i <= n; i++ {
		r.Parts = append(r.Parts, material.Part{Text: "x", Speech: []material.Interval{{Start: i*rateHz - rateHz/2, End: i * rateHz}}})
	}
	return r
}

// heard gives each of them a final so many seconds after its end; a negative age is none.
func heard(name string, ages ...float64) measure.Stream {
	s := measure.Stream{Recording: counting(name, len(ages)), Zero: zero}
	var messages []rig.Message
	for i, age := range ages {
		if age >= 0 {
			at := float64(i + 1)
			m := final(uint32(len(messages)+1), at-.6, at+.06, at+.2, at+age, "x")
			m.Rtap.Stream = name
			messages = append(messages, m)
		}
	}
	s.Take(messages)
	return s
}

func TestRecover(t *testing.T) {
	const not = -1
	for name, tt := range map[string]struct {
		burst, probe      []float64
		oldest, empty, in float64
		finals, late      int
	}{
		"no overload":               {[]float64{.2, .2, .3}, []float64{.2, .2, .2, .2, .2, .2}, .3, .3, 1.2, 9, 0},
		"a queue of three seconds":  {[]float64{1, 2, 3}, []float64{1, 2, 3, 2.5, 1.5, .3, .3, .3, .3}, 3, 3, 4.3, 12, 8},
		"in time by chance for two": {[]float64{1, 1, 1}, []float64{1, 1, 1, .3, .3, 1, .3, .3, .3}, 1, 1, 4.3, 9 + 3, 7},
		"never in time again":       {[]float64{1, 2, 9}, []float64{1, 1, 1, 3, 3, 3, .3, .3}, 9, 9, not, 11, 9},
		"nobody talks on":           {[]float64{1, 2, 5}, []float64{1, 1, 1}, 5, 5, not, 6, 6},
		"some without a final":      {[]float64{1, -1, 2}, []float64{-1, 1, 1, -1, .3, .3, .3}, 2, 2, 2.3, 7, 4},
	} {
		t.Run(name, func(t *testing.T) {
			streams := []measure.Stream{heard("burst", tt.burst...), heard("probe", tt.probe...)}
			got := measure.Recover(streams, streams[0].Captured(3*rateHz), 400)
			same := func(a, b float64) bool { return math.Abs(a-b) < .001 }
			if !same(got.OldestFinal, tt.oldest) || !same(got.QueueEmpty, tt.empty) || got.Finals != tt.finals || got.Late != tt.late {
				t.Errorf("got %+v, want %+v", got, tt)
			}
			switch {
			case tt.in == not && got.InTime != nil:
				t.Errorf("in time after %g", *got.InTime)
			case tt.in != not && (got.InTime == nil || !same(*got.InTime, tt.in)):
				t.Errorf("in time after %v, want %g", got.InTime, tt.in)
			}
		})
	}
}
