package material

import (
	"math"
	"slices"

	"github.com/rtap/rtap/pkg/clips"
)

// The rule by which speech is found in a recording without labels: its level, over 30 ms,
// lies above the noise floor (the 5th percentile) by a quarter of the way to loud speech
// (the 95th percentile); bursts of less than 50 ms are no speech, nor are those of less
// than 300 ms a second away from any other, and pauses of less than 200 ms belong to it.
// On clean recordings the ends move by less than 30 ms when the quarter is made a fifth or
// a third.
const (
	window      = clips.SampleRateHz / 100
	above       = 0.25
	floorShare  = 0.05
	loudShare   = 0.95
	burst       = 5  // windows
	shortPause  = 20 // windows
	shortSpeech = 8  // windows
	lone        = 30 // windows: shorter speech must not be alone
	alone       = 100
	quietest    = -96.0
)

// Interval is a stretch of samples, half open.
type Interval struct {
	Start int `json:"start"`
	End   int `json:"end"`
}

// findSpeech applies the rule; floor is the level of the recording's noise in dB.
func findSpeech(pcm []float32) (speech []Interval, floor float64) {
	levels := smooth(powers(pcm))
	if len(levels) == 0 {
		return nil, quietest
	}
	sorted := slices.Sorted(slices.Values(levels))
	at := func(share float64) float64 { return sorted[int(share*float64(len(sorted)-1))] }
	floor = at(floorShare)
	threshold := floor + above*(at(loudShare)-floor)
	var found []Interval
	for i := 0; i < len(levels); i++ {
		if levels[i] <= threshold {
			continue
		}
		start := i
		for i < len(levels) && levels[i] > threshold {
			i++
		}
		if i-start < burst {
			continue
		}
		if n := len(found); n > 0 && start-found[n-1].End < shortPause {
			found[n-1].End = i
		} else {
			found = append(found, Interval{start, i})
		}
	}
	for i, f := range found {
		near := i > 0 && f.Start-found[i-1].End < alone || i+1 < len(found) && found[i+1].Start-f.End < alone
		if length := f.End - f.Start; length >= lone || length >= shortSpeech && near {
			speech = append(speech, Interval{f.Start * window, min(f.End*window, len(pcm))})
		}
	}
	if n := len(speech); n > 0 && len(pcm)-speech[n-1].End < window {
		speech[n-1].End = len(pcm) // what is left over belongs to the last window
	}
	return speech, floor
}

func powers(pcm []float32) []float64 {
	out := make([]float64, len(pcm)/window)
	for i := range out {
		for _, x := range pcm[i*window : (i+1)*window] {
			out[i] += float64(x) * float64(x) / window
		}
	}
	return out
}

// smooth gives the level over each window and its neighbours in dB.
func smooth(power []float64) []float64 {
	out := make([]float64, len(power))
	for i := range power {
		some := power[max(0, i-1):min(len(power), i+2)]
		var sum float64
		for _, p := range some {
			sum += p
		}
		out[i] = max(quietest, 10*math.Log10(sum/float64(len(some))+1e-12))
	}
	return out
}
