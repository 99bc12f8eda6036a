// Package synth makes sounds that are no speech, always the same for the same seed: what
// a recogniser must stay silent on.
package synth

import (
	"math"
	"math/rand/v2"
	"slices"
)

// SampleRateHz of all sounds.
const SampleRateHz = 16000

// Kinds of sound, in alphabetical order.
func Kinds() []string {
	out := make([]string, 0, len(makers))
	for k := range makers {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Sound makes n samples in -1 to 1 with the given peak; nil for an unknown kind.
func Sound(kind string, n int, peak float64, seed uint64) []float32 {
	maker, ok := makers[kind]
	if !ok {
		return nil
	}
	raw := maker(n, rand.New(rand.NewPCG(seed, 1)))
	var top float64
	for _, x := range raw {
		top = math.Max(top, math.Abs(x))
	}
	out := make([]float32, n)
	if top > 0 {
		for i, x := range raw {
			out[i] = float32(peak * x / top)
		}
	}
	return out
}

var makers = map[string]func(n int, r *rand.Rand) []float64{
	"silence":     func(n int, _ *rand.Rand) []float64 { return make([]float64, n) },
	"white noise": func(n int, r *rand.Rand) []float64 { return fill(n, func(int) float64 { return r.NormFloat64() }) },
	"brown noise": brown,
	"fan":         fan,
	"mains hum":   hum,
	"music":       music,
	"keyboard":    keyboard,
	"breath":      breath,
	"beeps":       beeps,
	"rain":        rain,
}

func fill(n int, f func(i int) float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = f(i)
	}
	return out
}

func sine(hz float64, i int) float64 { return math.Sin(2 * math.Pi * hz * float64(i) / SampleRateHz) }

// lowPass smooths noise; a is nearer to 1 for less.
func lowPass(a float64, r *rand.Rand) func() float64 {
	var y float64
	return func() float64 { y += a * (r.NormFloat64() - y); return y }
}

func brown(n int, r *rand.Rand) []float64 {
	next := lowPass(0.02, r)
	return fill(n, func(int) float64 { return next() })
}

// fan is a motor's tone with harmonics in moving air.
func fan(n int, r *rand.Rand) []float64 {
	next := lowPass(0.15, r)
	return fill(n, func(i int) float64 {
		return next() + 0.1*sine(117, i) + 0.05*sine(234, i) + 0.03*sine(351, i)*(1+0.3*sine(1.7, i))
	})
}

func hum(n int, _ *rand.Rand) []float64 {
	return fill(n, func(i int) float64 { return sine(50, i) + 0.4*sine(100, i) + 0.3*sine(150, i) + 0.1*sine(250, i) })
}

// music is chords with a melody over them, half a second a note.
func music(n int, r *rand.Rand) []float64 {
	const note = SampleRateHz / 2
	scale := []float64{220, 246.94, 261.63, 293.66, 329.63, 349.23, 392, 440}
	out := make([]float64, n)
	for start := 0; start < n; start += note {
		root, lead := scale[r.IntN(4)], 2*scale[r.IntN(len(scale))]
		for i := start; i < min(n, start+note); i++ {
			decay := math.Exp(-3 * float64(i-start) / note)
			for _, ratio := range []float64{1, 1.25, 1.5} {
				out[i] += 0.4 * decay * (sine(root*ratio, i) + 0.3*sine(2*root*ratio, i))
			}
			out[i] += decay * (sine(lead, i) + 0.5*sine(2*lead, i) + 0.2*sine(3*lead, i))
		}
	}
	return out
}

// bursts adds short noises at random times.
func bursts(n int, r *rand.Rand, meanGap, length int, a float64) []float64 {
	out := make([]float64, n)
	for at := r.IntN(max(1, meanGap)); at < n; at += 1 + meanGap/2 + r.IntN(max(1, meanGap)) {
		next, loud := lowPass(a, r), 0.3+0.7*r.Float64()
		for i := at; i < min(n, at+length); i++ {
			x := float64(i-at) / float64(length)
			out[i] += loud * next() * math.Exp(-6*x)
		}
	}
	return out
}

func keyboard(n int, r *rand.Rand) []float64 {
	return bursts(n, r, SampleRateHz/6, SampleRateHz/50, 0.7)
}

func rain(n int, r *rand.Rand) []float64 {
	drops := bursts(n, r, SampleRateHz/80, SampleRateHz/200, 0.9)
	return fill(n, func(i int) float64 { return drops[i] + 0.1*r.NormFloat64() })
}

// breath is noise that swells and fades, about fifteen times a minute.
func breath(n int, r *rand.Rand) []float64 {
	next := lowPass(0.4, r)
	return fill(n, func(i int) float64 {
		swell := math.Max(0, sine(0.25, i))
		return next() * swell * swell
	})
}

func beeps(n int, r *rand.Rand) []float64 {
	hz := 600 + 800*r.Float64()
	return fill(n, func(i int) float64 {
		if i%SampleRateHz < SampleRateHz/5 {
			return sine(hz, i)
		}
		return 0
	})
}
