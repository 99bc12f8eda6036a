package bench_test

import (
	"math"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bench"
)

func TestPercentile(t *testing.T) {
	times := []time.Duration{50, 10, 30, 20, 40}
	for name, tt := range map[string]struct {
		in   []time.Duration
		p    float64
		want time.Duration
	}{
		"none":            {nil, 0.5, 0},
		"one":             {[]time.Duration{7}, 0.95, 7},
		"middle":          {times, 0.5, 30},
		"between two":     {times, 0.95, 48},
		"least":           {times, 0, 10},
		"most":            {times, 1, 50},
		"beyond":          {times, 3, 50},
		"middle of a few": {[]time.Duration{10, 20}, 0.5, 15},
	} {
		if got := bench.Percentile(tt.in, tt.p); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	for p, want := range map[float64]float64{-1: 1, 0: 1, 0.25: 1.5, 0.5: 2, 1: 4, 2: 4} {
		if got := bench.Quantile([]float64{1, 2, 4}, p); got != want {
			t.Errorf("quantile %g: %g, want %g", p, got, want)
		}
	}
	if times[0] != 50 {
		t.Error("the caller's times were sorted")
	}
}

func TestInterval(t *testing.T) {
	for _, tt := range []struct {
		errs, words int
		low, high   float64
	}{
		{0, 0, 0, 1},
		{0, 100, 0, 0.037},
		{5, 100, 0.0215, 0.1118},
		{100, 100, 0.963, 1},
		{150, 100, 0.963, 1.5},
	} {
		got := bench.Interval(tt.errs, tt.words)
		if math.Abs(got[0]-tt.low) > 1e-3 || math.Abs(got[1]-tt.high) > 1e-3 {
			t.Errorf("%d of %d: %v, want %v to %v", tt.errs, tt.words, got, tt.low, tt.high)
		}
	}
}
