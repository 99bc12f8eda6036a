package measure

import (
	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wer"
)

// Interims says how soon words are shown, and how often what was shown changes.
type Interims struct {
	Count int `json:"count"`
	// First in ms: from the end of a word to the first message that holds it, the final
	// included; Committed: to the first in whose committed part it is.
	First     []float64 `json:"-"`
	Committed []float64 `json:"-"`
	Words     int       `json:"words"`
	// ByFinal are words that no interim held, and words that none had committed.
	ByFinal          int `json:"by_final"`
	CommittedByFinal int `json:"committed_by_final"`
	// Estimated are words whose time the recogniser does not know; see [wordEnds].
	Estimated int `json:"estimated_times"`
	// Retracted are committed words that a later message of the segment lacks, and RetractedByFinal those of
	// them that the final lacks: only it may take back what was committed.
	Retracted        int `json:"retracted"`
	RetractedByFinal int `json:"retracted_by_final"`
	// Changed are volatile words that the next message had otherwise, of Shown in all.
	Changed int `json:"changed"`
	Shown   int `json:"shown"`
}

// FollowWords looks at every word of every final and the interims of its segment.
func FollowWords(streams []Stream) Interims {
	var out Interims
	for i := range streams {
		s := &streams[i]
		out.Count += len(s.Interims)
		of := map[string][]*Interim{}
		for j := range s.Interims {
			of[s.Interims[j].Segment] = append(of[s.Interims[j].Segment], &s.Interims[j])
		}
		ends := s.Recording.Ends()
		for j := range s.Finals {
			out.segment(s, &s.Finals[j], of[s.Finals[j].Segment], ends)
		}
	}
	return out
}

func (in *Interims) segment(s *Stream, f *Final, interims []*Interim, ends []material.End) {
	words := wer.Words(f.Text)
	spoken, estimated := wordEnds(f, words, ends)
	if estimated {
		in.Estimated += len(words)
	}
	first, committed := make([]int64, len(words)), make([]int64, len(words))
	var shown, promised []string
	for _, m := range interims {
		if m.At > f.At {
			continue
		}
		text, prefix := wer.Words(m.Text), wer.Words(m.Committed)
		hold(first, words, text, m.At)
		hold(committed, words, prefix, m.At)
		in.Retracted += lost(promised, text)
		in.Changed += lost(shown, text)
		in.Shown += len(text)
		shown, promised = text, prefix
	}
	in.RetractedByFinal += lost(promised, words)
	in.Retracted += lost(promised, words)
	in.Changed += lost(shown, words)
	for i := range words {
		in.Words++
		if first[i] == 0 {
			first[i] = f.At
			in.ByFinal++
		}
		if committed[i] == 0 {
			committed[i] = f.At
			in.CommittedByFinal++
		}
		in.First = append(in.First, float64(first[i]-s.Captured(spoken[i]))/1e6)
		in.Committed = append(in.Committed, float64(committed[i]-s.Captured(spoken[i]))/1e6)
	}
}

// hold notes the time for the words that a text has in common with the final's.
func hold(times []int64, final, text []string, at int64) {
	for _, p := range wer.AlignPrefix(final, text) {
		if p.Ref >= 0 && p.Hyp >= 0 && final[p.Ref] == text[p.Hyp] && times[p.Ref] == 0 {
			times[p.Ref] = at
		}
	}
}

// lost counts the words from the first on that is otherwise, or not there, in the next text.
func lost(text, next []string) int {
	for i, w := range text {
		if i >= len(next) || next[i] != w {
			return len(text) - i
		}
	}
	return 0
}

// wordEnds gives the sample at which each word ends. It is what the recogniser aligned;
// where it only estimates, words are spread over the labelled speech of the segment by
// their letters.
func wordEnds(f *Final, words []string, ends []material.End) (out []int, estimated bool) {
	if len(f.Words) == len(words) {
		for i := range words {
			out = append(out, at(f.Words[i].End))
			estimated = estimated || f.Words[i].Estimated
		}
		if !estimated {
			return out, false
		}
	}
	var letters int
	for _, w := range words {
		letters += len(w) + 1
	}
	var speech []material.Interval
	length := 0
	for _, e := range ends {
		if from, to := max(f.Start, e.Start), min(f.End, e.Sample); to > from {
			speech = append(speech, material.Interval{Start: from, End: to})
			length += to - from
		}
	}
	if length == 0 {
		speech, length = []material.Interval{{Start: f.Start, End: f.End}}, f.End-f.Start
	}
	out = out[:0]
	said := 0
	for _, w := range words {
		said += len(w) + 1
		out = append(out, position(speech, length*said/max(1, letters)))
	}
	return out, true
}

// position is the sample that lies so deep in the intervals taken together.
func position(in []material.Interval, depth int) int {
	for _, i := range in {
		if depth <= i.End-i.Start {
			return i.Start + depth
		}
		depth -= i.End - i.Start
	}
	return in[len(in)-1].End
}
