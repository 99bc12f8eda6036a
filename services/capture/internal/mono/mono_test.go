package mono_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/services/capture/internal/mono"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const rate = 2000

// voice is seconds of something like speech: noise of changing colour with a rhythm, different for each seed.
func voice(seconds int, seed uint64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	out := make([]float32, seconds*rate)
	var low float64
	for i := range out {
		at := float64(i) / rate
		low += 0.3 * (r.NormFloat64() - low)
		out[i] = float32(0.2 * low * (0.6 + 0.4*math.Sin(2*math.Pi*3*at)))
	}
	return out
}

func times(g float32, pcm []float32) []float32 {
	out := make([]float32, len(pcm))
	for i, x := range pcm {
		out[i] = g * x
	}
	return out
}

func plus(a []float32, b ...float32) []float32 {
	out := make([]float32, len(a))
	for i, x := range a {
		out[i] = x + b[i%len(b)]
	}
	return out
}

// mix plays channels and returns the mix and what was told, one line each.
func mix(channel int, channels ...[]float32) (pcm []float32, told []string) {
	m := mono.New(len(channels), rate, mono.How{Channel: channel, Tell: func(f mono.Finding) {
		line := f.Problem + ": " + f.Value + ": " + f.Message
		if f.Over {
			line = "over " + line
		}
		told = append(told, line)
	}})
	for i := range channels[0] {
		for c, in := range channels {
			m.Frame()[c] = in[i]
		}
		pcm = append(pcm, m.Mix())
	}
	return pcm, told
}

func TestMix(t *testing.T) {
	a, b := []float32{1, -1, 0.5}, []float32{0, -1, 0.25}
	for name, tt := range map[string]struct {
		channel  int
		channels [][]float32
		want     []float32
	}{
		"one":                   {0, [][]float32{a}, a},
		"one, another chosen":   {2, [][]float32{a}, a},
		"the mean of two":       {0, [][]float32{a, b}, []float32{0.5, -1, 0.375}},
		"the first":             {1, [][]float32{a, b}, a},
		"the second":            {2, [][]float32{a, b}, b},
		"one that is not there": {3, [][]float32{a, b}, []float32{0.5, -1, 0.375}},
	} {
		if got, _ := mix(tt.channel, tt.channels...); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestFits(t *testing.T) {
	for channels := range 4 {
		for chosen := range 5 {
			err := mono.How{Channel: chosen}.Fits(channels)
			if wrong := channels > 1 && chosen > channels; wrong != (err != nil) || wrong && !errors.Is(err, mono.ErrChannel) {
				t.Errorf("%d of %d: %v", chosen, channels, err)
			}
		}
	}
}

func TestWhatIsTold(t *testing.T) {
	v, other := voice(12, 1), voice(12, 2)
	silence := make([]float32, len(v))
	hiss := times(0.001, voice(12, 3))
	hum := make([]float32, len(v))
	for i := range hum {
		hum[i] = float32(0.3 + 0.0001*math.Sin(float64(i)))
	}
	nan := slices.Clone(v)
	for i := range nan {
		if i%rate == 0 {
			nan[i] = float32(math.NaN())
		}
	}
	for name, tt := range map[string]struct {
		channel  int
		channels [][]float32
		want     string // part of the only line that is told; empty: nothing is
	}{
		"one channel":                 {0, [][]float32{v}, ""},
		"both alike":                  {0, [][]float32{v, v}, ""},
		"one far quieter":             {0, [][]float32{v, times(0.1, v)}, ""},
		"two voices":                  {0, [][]float32{v, other}, ""},
		"a voice in two microphones":  {0, [][]float32{plus(v, hiss...), plus(times(0.5, slices.Concat(v[40:], v[:40])), hiss...)}, ""},
		"silence":                     {0, [][]float32{silence, silence}, ""},
		"a quiet room":                {0, [][]float32{hiss, silence}, ""},
		"too short to tell":           {0, [][]float32{v[:4*rate], silence[:4*rate]}, ""},
		"one silent":                  {0, [][]float32{v, silence}, "one_sided: channel 2 of 2: channel 2 is silent, "},
		"the way out":                 {0, [][]float32{silence, v}, "audio.channel=2"},
		"noise of a free plug":        {0, [][]float32{v, times(0.1, hiss)}, "one_sided: channel 2 of 2"},
		"an offset is no voice":       {0, [][]float32{v, hum}, "one_sided: channel 2 of 2"},
		"one of four":                 {0, [][]float32{silence, v, silence, silence}, "one_sided: channels 1, 3 and 4 of 4: channels 1, 3 and 4 are silent, "},
		"the chosen one is silent":    {2, [][]float32{v, silence}, "channel 2, which audio.channel chooses, is silent and channel 1 is not: choose that one with audio.channel=1"},
		"the other one is silent":     {1, [][]float32{v, silence}, ""},
		"turned round":                {0, [][]float32{v, times(-1, v)}, "opposite_phase: channels 1 and 2 of 2: the mix is 96 dB below channel 1: channels 1 and 2 are in opposite phase and cancel"},
		"turned round and quieter":    {0, [][]float32{times(-0.5, v), v}, "audio.channel=2"},
		"turned round, with noise":    {0, [][]float32{plus(v, times(50, hiss)...), times(-1, v)}, "opposite_phase: channels 1 and 2 of 2"},
		"turned round on an offset":   {0, [][]float32{plus(v, 0.2), plus(times(-1, v), 0.2)}, "opposite_phase: channels 1 and 2 of 2"},
		"one of three turned round":   {0, [][]float32{v, times(-1, v), v}, "opposite_phase: channel 2 of 3"},
		"one of eight turned round":   {0, [][]float32{v, v, v, v, v, v, v, times(-1, v)}, ""}, // and costs 2.5 dB
		"turned round, one is chosen": {1, [][]float32{v, times(-1, v)}, ""},
		"no numbers":                  {0, [][]float32{nan, times(-1, nan)}, "opposite_phase"},
	} {
		t.Run(name, func(t *testing.T) {
			_, told := mix(tt.channel, tt.channels...)
			if n := min(1, len(tt.want)); len(told) != n || n > 0 && !strings.Contains(told[0], tt.want) {
				t.Errorf("told %q, want %q", told, tt.want)
			}
		})
	}
}

// TestToldOnce hears problems that last, end and come again.
func TestToldOnce(t *testing.T) {
	v, other := voice(200, 1), voice(200, 2)
	for i := range v {
		if at := i / rate; at >= 20 && at < 30 {
			other[i] = -v[i] // a plug that is changed
		}
	}
	_, told := mix(0, v, other)
	if len(told) != 2 || !strings.HasPrefix(told[0], "opposite_phase") || !strings.HasPrefix(told[1], "over opposite_phase") {
		t.Errorf("phase: %q", told)
	}
	// The two sides of a call: who has spoken may be silent for a while.
	a, b := voice(200, 3), voice(200, 4)
	for i := range a {
		switch at := i / rate; {
		case at < 10:
			b[i] = 0
		case at < 50:
			a[i] = 0
		case at > 80:
			b[i] = 0
		}
	}
	_, told = mix(0, a, b)
	if len(told) != 3 || !strings.HasPrefix(told[0], "one_sided: channel 2") || !strings.HasPrefix(told[1], "over one_sided") || !strings.HasPrefix(told[2], "one_sided: channel 2") {
		t.Errorf("silence: %q", told)
	}
}

// TestMixHasNoMemory: whoever begins to read in another place gets the same samples, whatever
// is told.
func TestMixHasNoMemory(t *testing.T) {
	v := voice(12, 1)
	for name, channels := range map[string][][]float32{
		"one-sided": {v, make([]float32, len(v))}, "opposite": {v, times(-1, v)}, "opposite and quieter": {v, times(-0.9, v)},
	} {
		for channel := range 3 {
			whole, _ := mix(channel, channels...)
			for _, from := range []int{1, 511, 5 * rate} {
				if rest, _ := mix(channel, channels[0][from:], channels[1][from:]); !slices.Equal(rest, whole[from:]) {
					t.Errorf("%s, channel %d: from sample %d on it is another", name, channel, from)
				}
			}
		}
	}
}

func TestMixDoesNotAllocate(t *testing.T) {
	v := voice(1, 1)
	m := mono.New(2, rate, mono.How{Tell: func(mono.Finding) {}})
	n := testing.AllocsPerRun(20, func() {
		for _, x := range v {
			m.Frame()[0], m.Frame()[1] = x, x/2
			m.Mix()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations in a second of audio", n)
	}
}

func BenchmarkMix(b *testing.B) {
	m := mono.New(2, 48000, mono.How{Tell: func(mono.Finding) {}})
	m.Frame()[0], m.Frame()[1] = 0.1, -0.1
	for b.Loop() {
		m.Mix()
	}
}
