// Package material makes long recordings of speech in which every end of speech is known:
// clips joined with known pauses, in another order for each stream, always the same for
// the same seed.
package material

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/rtap/rtap/pkg/clips"
)

const (
	rateHz = clips.SampleRateHz
	// Pauses between clips, from the end of one's speech to the start of the next's.
	leastPause, mostPause = rateHz / 5, 2 * rateHz
	// Around a clip without a text the pause is so long that no segment spans it.
	apart = 2 * rateHz
	// textless: after so many clips with a text comes one without.
	textless = 2
	// trailing silence, so that the last segment and its utterance are closed by silence.
	trailing = 5 * rateHz / 2
	// What is kept of a clip around its speech, where the pause has room for it.
	keptHead, keptTail = rateHz / 10, 3 * rateHz / 20
)

// Part is one clip in a recording; all positions are samples of the recording.
type Part struct {
	Name   string     `json:"name"`
	Text   string     `json:"text"`
	Hand   bool       `json:"hand"`
	Speech []Interval `json:"speech"`

	clip     *Clip
	from, to int // of the clip: what is played
}

// Recording is a stream's audio.
type Recording struct {
	Stream  string
	Samples int
	Parts   []Part

	seed uint64
}

// Options of [Make].
type Options struct {
	Streams int
	Seed    uint64
	// Lead is the silence before the first clip; streams begin up to Stagger later than it.
	Lead, Stagger time.Duration
	// The recordings are made until they are so long, the silence before the first clip left
	// out, and hold so many ends of speech, all streams together, that count (see [Recording.Ends]).
	Duration time.Duration
	Ends     int
	// Once: every clip exactly once, in the given order, with pauses of the given seed.
	Once bool
}

// Make lays out a recording for each stream. Labelled clips without a text may be none.
func Make(spoken, labelled []Clip, o Options) []Recording {
	out := make([]Recording, o.Streams)
	for i := range out {
		seed := o.Seed<<16 + uint64(i)
		r := rand.New(rand.NewPCG(seed, 2))
		rec := Recording{Stream: fmt.Sprintf("bench-%02d", i+1), seed: seed}
		rec.Samples = samples(o.Lead)
		if o.Stagger > 0 {
			rec.Samples += r.IntN(samples(o.Stagger))
		}
		begin := rec.Samples
		next := order(spoken, labelled, o.Once, r)
		for {
			c, ok := next()
			if !ok {
				break
			}
			rec.add(c, r)
			if o.Once {
				continue
			}
			if rec.Samples-begin >= samples(o.Duration) && rec.counting()*o.Streams >= o.Ends {
				break
			}
		}
		if n := len(rec.Parts); n > 0 {
			last := &rec.Parts[n-1]
			last.to = min(len(last.clip.PCM), last.to+keptTail)
		}
		rec.Samples += trailing
		out[i] = rec
	}
	return out
}

// order gives clips without end in rounds, each in an order of its own, with a labelled
// one after every few; with once every clip a single time.
func order(spoken, labelled []Clip, once bool, r *rand.Rand) func() (*Clip, bool) {
	var a, b []int
	n := 0
	draw := func(left *[]int, of []Clip) *Clip {
		if len(*left) == 0 {
			if *left = r.Perm(len(of)); once {
				for i := range *left {
					(*left)[i] = i
				}
			}
		}
		c := &of[(*left)[0]]
		*left = (*left)[1:]
		return c
	}
	return func() (*Clip, bool) {
		n++
		switch {
		case once && n <= len(spoken):
			return draw(&a, spoken), true
		case once && n <= len(spoken)+len(labelled):
			return draw(&b, labelled), true
		case once:
			return nil, false
		case len(spoken) == 0, len(labelled) > 0 && n%(textless+1) == 0:
			return draw(&b, labelled), true
		default:
			return draw(&a, spoken), true
		}
	}
}

// add puts a clip behind a pause.
func (rec *Recording) add(c *Clip, r *rand.Rand) {
	pause := leastPause + r.IntN(mostPause-leastPause)
	if n := len(rec.Parts); n > 0 && (c.Text == "" || rec.Parts[n-1].Text == "") {
		pause = apart + pause/4
	}
	first, last := c.Speech[0].Start, c.Speech[len(c.Speech)-1].End
	p := Part{Name: c.Name, Text: c.Text, Hand: c.Hand, clip: c}
	p.from = max(0, first-min(keptHead, pause/3))
	p.to = last
	at := rec.Samples + pause // where its speech starts
	if n := len(rec.Parts); n > 0 {
		before := &rec.Parts[n-1]
		before.to = min(len(before.clip.PCM), before.to+min(keptTail, pause/2))
	}
	for _, s := range c.Speech {
		p.Speech = append(p.Speech, Interval{s.Start - first + at, s.End - first + at})
	}
	rec.Parts = append(rec.Parts, p)
	rec.Samples = at + last - first
}

// End is where speech ends.
type End struct {
	Sample int
	Start  int // of that speech
	Pause  int // samples until speech goes on, or the recording ends
	Part   int
	Hand   bool
}

// Counts says whether a final must come for this end: the silence after it is half a
// second or more. After a shorter one the next words may belong to the same segment.
func (e End) Counts() bool { return e.Pause >= rateHz/2 }

// Ends lists every end of speech, in order.
func (rec *Recording) Ends() []End {
	var out []End
	for i, p := range rec.Parts {
		for _, s := range p.Speech {
			if n := len(out); n > 0 {
				out[n-1].Pause = s.Start - out[n-1].Sample
			}
			out = append(out, End{Sample: s.End, Start: s.Start, Part: i, Hand: p.Hand})
		}
	}
	if n := len(out); n > 0 {
		out[n-1].Pause = rec.Samples - out[n-1].Sample
	}
	return out
}

func (rec *Recording) counting() (n int) {
	for _, e := range rec.Ends() {
		if e.Counts() {
			n++
		}
	}
	return n
}

// SpeechSamples is how much of the recording is speech.
func (rec *Recording) SpeechSamples() (n int) {
	for _, p := range rec.Parts {
		for _, s := range p.Speech {
			n += s.End - s.Start
		}
	}
	return n
}

func samples(d time.Duration) int { return int(d.Seconds() * rateHz) }

func amplitude(db float64) float64 { return math.Pow(10, db/20) }
