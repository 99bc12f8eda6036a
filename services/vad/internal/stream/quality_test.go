package stream

import (
	"math"
	"slices"
	"testing"
)

// tone is seconds of a voice's level: a tone with an amplitude and an offset in parts of full
// scale, cut off at full scale.
func tone(seconds int, amplitude, offset float64) []int16 {
	out := make([]int16, seconds*sampleRateHz)
	for i := range out {
		x := offset + amplitude*math.Sin(2*math.Pi*220*float64(i)/sampleRateHz)
		out[i] = int16(32767 * max(-1, min(1, x)))
	}
	return out
}

func told(q *quality, pcm []int16, p float64) []string {
	var out []string
	for frame := range slices.Chunk(pcm, 512) {
		for _, f := range q.add(frame, p, 0.5) {
			out = append(out, f.name)
		}
	}
	return out
}

func TestQuality(t *testing.T) {
	for name, tt := range map[string]struct {
		pcm  []int16
		p    float64
		want []string
	}{
		"a good level":         {tone(12, 0.3, 0), 1, nil},
		"loud, not clipped":    {tone(12, 0.95, 0), 1, nil},
		"clipped":              {tone(12, 4, 0), 1, []string{"clipped"}},
		"clipped, no speech":   {tone(12, 4, 0), 0, []string{"clipped"}},
		"an offset":            {tone(12, 0.3, 0.1), 1, []string{"dc_offset"}},
		"an offset below zero": {tone(12, 0.3, -0.05), 1, []string{"dc_offset"}},
		"quiet speech":         {tone(12, 0.002, 0), 1, []string{"too_quiet"}},
		"quiet, on an offset":  {tone(12, 0.002, 0.1), 1, []string{"dc_offset", "too_quiet"}},
		"a quiet room":         {tone(12, 0.002, 0), 0.1, nil},
		"silence":              {make([]int16, 12*sampleRateHz), 0, nil},
		"too short to tell":    {tone(4, 4, 0.1), 1, nil},
	} {
		if got := told(&quality{}, tt.pcm, tt.p); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestQualityIsToldOnceAMinute hears a problem that lasts, goes and comes again.
func TestQualityIsToldOnceAMinute(t *testing.T) {
	q := &quality{}
	if got := told(q, tone(130, 4, 0), 1); len(got) != 3 {
		t.Errorf("in 130 s: %v", got)
	}
	if got := told(q, tone(10, 0.3, 0), 1); len(got) > 0 {
		t.Errorf("when it is over: %v", got)
	}
	if got := told(q, tone(10, 4, 0), 1); len(got) != 1 {
		t.Errorf("when it comes again: %v", got)
	}
}
