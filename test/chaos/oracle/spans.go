package oracle

import (
	"fmt"
	"math"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/pkg/wire"
)

// epochs splits a log where a source began anew on purpose, because `rtap up` did. There is
// at least one.
func epochs(entries []wire.Entry) [][]wire.Entry {
	out := [][]wire.Entry{nil}
	epoch := uint32(0)
	for _, e := range entries {
		now := e.Results.GetRtap().GetEpoch()
		if e.Results != nil && epoch != 0 && now > epoch {
			out = append(out, nil)
		}
		if e.Results != nil {
			epoch = now
		}
		out[len(out)-1] = append(out[len(out)-1], e)
	}
	return out
}

// spans of the finals, in samples of the recording.
func spans(entries []wire.Entry) (out []material.Interval) {
	for _, e := range entries {
		if r := e.Results; r != nil {
			start := int(math.Round(r.GetStart() * rateHz))
			out = append(out, material.Interval{Start: start, End: start + int(math.Round(r.GetDuration()*rateHz))})
		}
	}
	return out
}

// passedOver are the stretches in which an ordinal was released that has no entry: its result was empty, which
// the log does not tell.
func passedOver(entries []wire.Entry) (out []material.Interval) {
	var last uint64
	end, open := 0, false
	for _, e := range entries {
		if e.Late() {
			continue
		}
		open = open || e.Ordinal() > last+1
		last = e.Ordinal()
		if e.Results == nil {
			continue
		}
		s := spans([]wire.Entry{e})[0]
		if open {
			out = append(out, material.Interval{Start: end, End: s.Start})
		}
		end, open = s.End, false
	}
	if open {
		out = append(out, material.Interval{Start: end, End: math.MaxInt})
	}
	return out
}

func speech(rec *material.Recording) (out []material.Interval) {
	for _, p := range rec.Parts {
		out = append(out, p.Speech...)
	}
	return out
}

// coverage is which share of a stretch is in the one final that holds most of it, and in all.
func coverage(s material.Interval, heard []material.Interval) (one, all float64) {
	inside := make([]bool, s.End-s.Start)
	for _, h := range heard {
		from, to := max(s.Start, h.Start), min(s.End, h.End)
		one = max(one, float64(to-from)/float64(len(inside)))
		for i := from; i < to; i++ {
			inside[i-s.Start] = true
		}
	}
	n := 0
	for _, x := range inside {
		if x {
			n++
		}
	}
	return one, float64(n) / float64(len(inside))
}

// anySpeech says whether what two finals share holds speech.
func anySpeech(rec *material.Recording, a, b material.Interval) bool {
	from, to := max(a.Start, b.Start), min(a.End, b.End)
	for _, s := range speech(rec) {
		if min(to, s.End)-max(from, s.Start) > 0 {
			return true
		}
	}
	return false
}

func words(entries []wire.Entry) (out []word) {
	for _, e := range entries {
		if e.Results == nil {
			continue
		}
		in := spans([]wire.Entry{e})[0]
		alternative := e.Results.GetChannel().GetAlternatives()[0]
		all := wer.Words(alternative.GetTranscript())
		for i, w := range all {
			at := e.Results.GetStart() + e.Results.GetDuration()*float64(i)/float64(len(all))
			out = append(out, word{w, at, in})
		}
	}
	return out
}

func texts(words []word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.text
	}
	return out
}

// finals as text, for comparison.
func finals(entries []wire.Entry) (out []string) {
	for _, e := range entries {
		if r := e.Results; r != nil {
			out = append(out, fmt.Sprintf("%d %d %.3f %.3f %s", e.Seq(), e.Ordinal(), r.GetStart(), r.GetDuration(), r.GetChannel().GetAlternatives()[0].GetTranscript()))
		}
	}
	return out
}

func seconds(s material.Interval) string {
	return fmt.Sprintf("%.2f-%.2f s", float64(s.Start)/rateHz, float64(s.End)/rateHz)
}

// known says whether a stretch is of a clip whose words somebody has written down.
func known(rec *material.Recording, s material.Interval) bool {
	for _, p := range rec.Parts {
		if len(p.Speech) > 0 && s.Start >= p.Speech[0].Start && s.End <= p.Speech[len(p.Speech)-1].End {
			return p.Text != ""
		}
	}
	return true
}

// spoken leaves out words of clips that nobody has written down: what the model makes of
// them is not always the same.
func spoken(rec *material.Recording, all []word) (out []word) {
	for _, w := range all {
		in := true
		for _, p := range rec.Parts {
			if len(p.Speech) > 0 && p.Text == "" && w.at*rateHz >= float64(p.Speech[0].Start-rateHz) && w.at*rateHz < float64(p.Speech[len(p.Speech)-1].End+rateHz) {
				in = false
			}
		}
		if in {
			out = append(out, w)
		}
	}
	return out
}
