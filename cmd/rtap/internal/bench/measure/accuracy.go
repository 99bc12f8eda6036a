package measure

import (
	"maps"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wer"
)

// Accuracy is the word error rate of the finals against the recordings' texts. Recordings
// without a text, and finals within them, do not count.
type Accuracy struct {
	Words  int     `json:"words"`
	Errors int     `json:"errors"`
	Rate   float64 `json:"rate"` // a fraction
	// Range holds the rate with 95 % certainty; recordings are what is drawn, since one that
	// is played again fails in the same places.
	Range [2]float64 `json:"rate_ci"`
	// Clips are the same by recording; Once is the words of one playing of each.
	Clips map[string]Cluster `json:"clips"`
	Once  map[string]int     `json:"clip_words"`
	// Mistakes of each kind.
	Replaced int `json:"replaced"`
	Missing  int `json:"missing"`
	Added    int `json:"added"`
}

// Rate aligns the finals of every stream with its texts.
func Rate(streams []Stream) Accuracy {
	a := Accuracy{Clips: map[string]Cluster{}, Once: map[string]int{}}
	for i := range streams {
		for _, g := range groups(&streams[i]) {
			a.group(g)
		}
	}
	for _, c := range a.Clips {
		a.Errors, a.Words = a.Errors+c.Errors, a.Words+c.Words
	}
	if a.Words > 0 {
		a.Rate = float64(a.Errors) / float64(a.Words)
	}
	var clusters []Cluster
	for _, name := range slices.Sorted(maps.Keys(a.Clips)) {
		clusters = append(clusters, a.Clips[name])
	}
	a.Range = RateRange(clusters)
	return a
}

// group is recordings that follow one another and share finals, with those finals' text.
type group struct {
	parts []material.Part
	text  []string
}

// groups assigns each final to the recording that most of it lies in. Where one lies in
// two that have texts, both belong together.
func groups(s *Stream) []group {
	parts := s.Recording.Parts
	joined := make([]int, len(parts)) // to the group that begins there
	for i := range joined {
		joined[i] = i
	}
	texts := make([][]string, len(parts))
	for i := range s.Finals {
		f := &s.Finals[i]
		first, most, overlap := -1, -1, 0
		for n, p := range parts {
			o := min(f.End, p.Speech[len(p.Speech)-1].End) - max(f.Start, p.Speech[0].Start)
			if o <= 0 {
				continue
			}
			if first < 0 {
				first = n
			} else if p.Text != "" && parts[n-1].Text != "" {
				joined[n] = joined[n-1]
			}
			if o > overlap {
				most, overlap = n, o
			}
		}
		if most < 0 { // in a pause: invented, and held against what came before
			if most = before(parts, f.Start); most < 0 {
				continue
			}
		}
		texts[most] = append(texts[most], f.Text)
	}
	var out []group
	for i, p := range parts {
		if p.Text == "" {
			continue
		}
		if joined[i] == i || len(out) == 0 {
			out = append(out, group{})
		}
		g := &out[len(out)-1]
		g.parts, g.text = append(g.parts, p), append(g.text, texts[i]...)
	}
	return out
}

func before(parts []material.Part, sample int) int {
	found := -1
	for n, p := range parts {
		if p.Speech[0].Start <= sample {
			found = n
		}
	}
	return found
}

func (a *Accuracy) group(g group) {
	var ref []string
	var owner []string // of each word: the recording
	for _, p := range g.parts {
		words := wer.Words(p.Text)
		a.Once[p.Name] = len(words)
		for _, w := range words {
			ref, owner = append(ref, w), append(owner, p.Name)
		}
	}
	hyp := wer.Words(strings.Join(g.text, " "))
	at := g.parts[0].Name
	for _, p := range wer.Align(ref, hyp) {
		wrong := 1
		words := 0
		switch {
		case p.Ref < 0:
			a.Added++
		case p.Hyp < 0:
			at, words = owner[p.Ref], 1
			a.Missing++
		case ref[p.Ref] != hyp[p.Hyp]:
			at, words = owner[p.Ref], 1
			a.Replaced++
		default:
			at, words, wrong = owner[p.Ref], 1, 0
		}
		c := a.Clips[at]
		a.Clips[at] = Cluster{c.Errors + wrong, c.Words + words}
	}
}
