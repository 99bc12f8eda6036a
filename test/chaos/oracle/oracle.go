// Package oracle judges what became of audio whose speech is known: not how many finals
// came, but whether every stretch of speech is in one, none in two, and no word is missing
// that was heard when nothing went wrong.
package oracle

import (
	"fmt"
	"slices"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	rateHz = 16000
	// frame is the least that two finals must share to have heard the same.
	frame = 512
	// covered is how much of a stretch of speech must be in finals.
	covered = 0.9
	// shortWord is how much speech a model may hear nothing in that is told nothing of what came before, samples.
	shortWord = rateHz / 2
	// missing is how many words in a row must not be lacking.
	missing = 3
)

// Verdict is what is wrong with a stream; all but Expected, Finals, Split, Unheard, Empty and Followed must be 0.
type Verdict struct {
	// Expected stretches of speech, and the finals that came.
	Expected, Finals int
	// Lost stretches of speech are in no final, or less than nine tenths of them are.
	Lost int
	// Doubled is speech in two finals, ordinals that ended twice, or finals given twice.
	Doubled int
	// Disorder is holes in seq, ordinals that go back, and clients that saw something else.
	Disorder int
	// Cut is runs of three or more words that the run without faults has and this one has not.
	Cut int
	// Split stretches of speech were in one final without faults, and are in two here: a
	// source that was silent for longer than the ring closes the open segment.
	Split int
	// Unheard stretches of labelled noise and speech are in no final without faults, either;
	// they are not expected.
	Unheard int
	// Empty stretches of clips whose words nobody knows (mumbled, far away) were segmented,
	// and the model heard nothing in them this time: what it makes of those hangs on what
	// it was told before. So does a word by itself, see [Faults]. And a word of which the
	// model is not sure by itself is heard together with what comes next: it stands there then.
	Empty int
	// Followed ordinals are those of which every result was seen.
	Followed int
	Notes    []string
}

func (v *Verdict) note(format string, args ...any) {
	v.Notes = append(v.Notes, fmt.Sprintf(format, args...))
}

// Add sums verdicts up.
func (v *Verdict) Add(o Verdict) {
	v.Expected += o.Expected
	v.Finals += o.Finals
	v.Lost += o.Lost
	v.Doubled += o.Doubled
	v.Disorder += o.Disorder
	v.Cut += o.Cut
	v.Split += o.Split
	v.Unheard += o.Unheard
	v.Empty += o.Empty
	v.Followed += o.Followed
	v.Notes = append(v.Notes, o.Notes...)
}

// Bad says whether something was lost, doubled, out of order or cut.
func (v *Verdict) Bad() bool { return v.Lost+v.Doubled+v.Disorder+v.Cut > 0 }

// word is one that was recognised, and where.
type word struct {
	text string
	at   float64           // seconds
	in   material.Interval // its final, samples
}

// Reference is what a recording gave without faults.
type Reference struct {
	words []word
	start int    // of the first final, in samples
	whole []bool // stretches of speech that were in one final
	any   []bool // … in finals at all
}

// NewReference makes one of a stream's log.
func NewReference(rec *material.Recording, entries []wire.Entry) *Reference {
	ref := &Reference{words: words(entries)}
	if all := spans(entries); len(all) > 0 {
		ref.start = all[0].Start
	}
	for _, s := range speech(rec) {
		one, all := coverage(s, spans(entries))
		ref.whole, ref.any = append(ref.whole, one >= covered), append(ref.any, all >= covered)
	}
	return ref
}

// Faults say what is no loss with the faults of a round.
type Faults struct {
	// Restarts: a source may begin anew, in another epoch.
	Restarts bool
	// Unseen: results may have been stored and deleted that nobody saw.
	Unseen bool
	// NoContext: stored audio may be gone, and with it what a word was heard with: a short one may be Empty.
	NoContext bool
}

// Judge compares a stream's log with what its recording holds and with the run without
// faults; ref may be nil for that run itself. results are those that were stored.
func Judge(rec *material.Recording, ref *Reference, entries []wire.Entry, results []*rtapv1.Result, faults Faults) Verdict {
	v := Verdict{}
	v.order(entries)
	empty := v.results(results)
	if faults.Unseen {
		empty = append(empty, passedOver(entries)...)
	} else {
		v.complete(entries, results)
	}
	for _, e := range entries {
		if e.Results != nil {
			v.Finals++
		}
	}
	runs := [][]wire.Entry{entries}
	if faults.Restarts {
		runs = epochs(entries)
	}
	for n, run := range runs {
		v.run(rec, ref, run, empty, faults, n < len(runs)-1)
	}
	return v
}

// run judges one playing of the recording. One that was broken off, because `rtap up` was
// killed and began anew, is judged up to its last final.
func (v *Verdict) run(rec *material.Recording, ref *Reference, entries []wire.Entry, empty []material.Interval, faults Faults, broken bool) {
	heard := spans(entries)
	reached := 0
	for i := range heard {
		reached = max(reached, heard[i].End)
		for j := range i {
			if shared := min(heard[i].End, heard[j].End) - max(heard[i].Start, heard[j].Start); shared >= frame && anySpeech(rec, heard[i], heard[j]) {
				v.Doubled++
				v.note("%.2f s are in two finals, %v and %v", float64(shared)/rateHz, seconds(heard[j]), seconds(heard[i]))
			}
		}
	}
	for i, s := range speech(rec) {
		if broken && s.End > reached {
			return
		}
		one, all := coverage(s, heard)
		if ref == nil && all < covered || ref != nil && !ref.any[i] {
			v.Unheard++ // not the pipeline's loss: nothing is heard there without faults
			continue
		}
		v.Expected++
		_, segmented := coverage(s, append(slices.Clone(heard), empty...))
		switch {
		case all < covered && segmented >= covered && (faults.NoContext && s.End-s.Start <= shortWord || !known(rec, s) || ref.heard(s, words(entries))):
			v.Empty++
		case all < covered:
			v.Lost++
			v.note("speech %v: only %.0f %% are in finals", seconds(s), 100*all)
		case one < covered && ref != nil && ref.whole[i]:
			v.Split++
		}
	}
	if ref != nil && !broken {
		v.words(spoken(rec, ref.words), spoken(rec, words(entries)))
	}
}

// heard says whether all words that the run without faults has in the finals of a stretch of speech are there,
// wherever they stand now.
func (r *Reference) heard(s material.Interval, got []word) bool {
	if r == nil {
		return false
	}
	same := map[int]bool{}
	for _, p := range wer.Align(texts(r.words), texts(got)) {
		if p.Ref >= 0 && p.Hyp >= 0 && r.words[p.Ref].text == got[p.Hyp].text {
			same[p.Ref] = true
		}
	}
	n := 0
	for i, w := range r.words {
		if w.in.Start < s.End && s.Start < w.in.End {
			n++
			if !same[i] {
				return false
			}
		}
	}
	return n > 0
}

// JudgeDevice is Judge for a recording that was played to a device: it began somewhere in
// the stream, as far before the first final as without faults.
func JudgeDevice(rec *material.Recording, ref *Reference, entries []wire.Entry, results []*rtapv1.Result, faults Faults) Verdict {
	at := spans(entries)
	if len(at) == 0 || len(ref.words) == 0 {
		return Judge(rec, ref, entries, results, faults)
	}
	shift := at[0].Start - ref.start
	moved := &material.Recording{Stream: rec.Stream, Samples: rec.Samples + shift}
	for _, p := range rec.Parts {
		q := p
		q.Speech = nil
		for _, s := range p.Speech {
			q.Speech = append(q.Speech, material.Interval{Start: s.Start + shift, End: s.End + shift})
		}
		moved.Parts = append(moved.Parts, q)
	}
	later := &Reference{start: at[0].Start, whole: ref.whole, any: ref.any}
	for _, w := range ref.words {
		in := material.Interval{Start: w.in.Start + shift, End: w.in.End + shift}
		later.words = append(later.words, word{w.text, w.at + float64(shift)/rateHz, in})
	}
	return Judge(moved, later, entries, results, faults)
}

// order checks seq, ordinals and the log's end.
func (v *Verdict) order(entries []wire.Entry) {
	seq, ordinal := uint32(0), uint64(0)
	seen := map[uint64]bool{}
	ended := false
	for _, e := range entries {
		if e.Results != nil {
			if e.Seq() != seq+1 {
				v.Disorder++
				v.note("final %d follows %d", e.Seq(), seq)
			}
			seq = e.Seq()
			if e.Results.GetRtap().GetGapMs() > 0 {
				v.Lost++
				v.note("a gap of %d ms before final %d", e.Results.GetRtap().GetGapMs(), seq)
			}
		}
		if e.Late() {
			continue
		}
		if seen[e.Ordinal()] {
			v.Doubled++
			v.note("ordinal %d ended twice", e.Ordinal())
		} else if e.Ordinal() < ordinal {
			v.Disorder++
			v.note("ordinal %d follows %d", e.Ordinal(), ordinal)
		}
		seen[e.Ordinal()], ordinal = true, max(ordinal, e.Ordinal())
		ended = ended || e.StreamEnd != nil
	}
	if !ended {
		v.Lost++
		v.note("the stream's end never came")
	}
}

// results checks that no ordinal ended twice, and returns the segments that were empty.
func (v *Verdict) results(results []*rtapv1.Result) (empty []material.Interval) {
	seen := map[uint64]bool{}
	for _, r := range results {
		if seen[r.GetOrdinal()] {
			v.Doubled++
			v.note("ordinal %d has two results", r.GetOrdinal())
		}
		seen[r.GetOrdinal()] = true
		if r.GetKind() == rtapv1.Result_KIND_EMPTY {
			empty = append(empty, material.Interval{Start: int(r.GetSpan().GetStartSample()), End: int(r.GetSpan().GetEndSample())})
		}
	}
	return empty
}

// complete checks that every ordinal up to the highest has ended.
func (v *Verdict) complete(entries []wire.Entry, results []*rtapv1.Result) {
	ended, highest := map[uint64]bool{}, uint64(0)
	end := func(n uint64) { ended[n], highest = true, max(highest, n) }
	for _, e := range entries {
		if !e.Late() {
			end(e.Ordinal())
		}
	}
	for _, r := range results {
		end(r.GetOrdinal())
	}
	for n := uint64(1); n <= highest; n++ {
		if !ended[n] {
			v.Lost++
			v.note("ordinal %d of %d has no result", n, highest)
		}
	}
	v.Followed += int(highest)
}

// words looks for runs of words that are not there any more.
func (v *Verdict) words(want, got []word) {
	pairs := wer.Align(texts(want), texts(got))
	from, run := -1, 0
	flush := func() {
		if run >= missing {
			v.Cut++
			v.note("missing from %.1f s on: %v", want[from].at, texts(want[from:from+run]))
		}
		run = 0
	}
	for _, p := range pairs {
		switch {
		case p.Ref >= 0 && p.Hyp < 0:
			if run == 0 {
				from = p.Ref
			}
			run++
		case p.Ref >= 0:
			flush()
		}
	}
	flush()
}

// Agree compares what a client was given with the log.
func (v *Verdict) Agree(client string, log, got []wire.Entry, doubled, holes int) {
	v.Doubled += doubled
	v.Disorder += holes
	if doubled+holes > 0 {
		v.note("%s: %d finals came twice, %d behind a hole", client, doubled, holes)
	}
	a, b := finals(log), finals(got)
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			v.Disorder++
			v.note("%s: saw %d finals of %d, the first difference is at %d", client, len(b), len(a), i+1)
			return
		}
	}
}
