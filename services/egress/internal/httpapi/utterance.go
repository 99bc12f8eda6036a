package httpapi

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/subtitle"
)

// utterance is what was said between two silences.
type utterance struct {
	text  string
	words []subtitle.Word // timed from the beginning of the first segment's epoch
}

// utterances collects segments until their utterance ends.
type utterances struct {
	header func() error // may be nil
	each   func(utterance) error

	open  []*rtapv1.Results
	clock epochs
}

func (u *utterances) begin() error {
	if u.header == nil {
		return nil
	}
	return u.header()
}

func (u *utterances) entry(_ feed.Message, e wire.Entry) error {
	switch {
	case e.Results == nil:
		return u.flush(e.UtteranceEnd.GetRtap().GetTranscript()) // empty for the end of the stream
	case e.Results.GetRtap().GetLate():
		// It belongs to an utterance that is long over.
		if err := u.flush(""); err != nil {
			return err
		}
		u.open = append(u.open, e.Results)
		return u.flush("")
	case len(u.open) > 0 && u.open[0].GetRtap().GetUtteranceId() != e.Results.GetRtap().GetUtteranceId():
		if err := u.flush(""); err != nil { // its end was not stored
			return err
		}
	}
	u.open = append(u.open, e.Results)
	return nil
}

func (u *utterances) end() error { return u.flush("") }

// flush gives what is open, in the letters of whole when that has the same words: capitals
// and full stops are decided anew when an utterance ends.
func (u *utterances) flush(whole string) error {
	if len(u.open) == 0 {
		return nil
	}
	var texts []string
	var words []subtitle.Word
	for _, r := range u.open {
		offset := u.clock.offset(r)
		texts = append(texts, strings.Fields(transcript(r))...)
		for _, w := range timed(r) {
			w.Start, w.End = w.Start+offset, w.End+offset
			words = append(words, w)
		}
		u.clock.saw(offset + seconds(r.GetStart()+r.GetDuration()))
	}
	u.open = nil
	if final := strings.Fields(whole); len(final) == len(texts) {
		texts = final
	}
	if len(words) == len(texts) {
		for i := range words {
			words[i].Text = texts[i]
		}
	}
	return u.each(utterance{text: strings.Join(texts, " "), words: words})
}

func transcript(r *rtapv1.Results) string {
	if alternatives := r.GetChannel().GetAlternatives(); len(alternatives) > 0 {
		return alternatives[0].GetTranscript()
	}
	return ""
}

// timed gives a segment's words; without times of their own they share the segment's by
// their lengths.
func timed(r *rtapv1.Results) (words []subtitle.Word) {
	if alternatives := r.GetChannel().GetAlternatives(); len(alternatives) > 0 && len(alternatives[0].GetWords()) > 0 {
		for _, w := range alternatives[0].GetWords() {
			words = append(words, subtitle.Word{Text: w.GetPunctuatedWord(), Start: seconds(w.GetStart()), End: seconds(w.GetEnd())})
		}
		return words
	}
	texts := strings.Fields(transcript(r))
	total := 0
	for _, text := range texts {
		total += utf8.RuneCountInString(text) + 1
	}
	at := 0
	place := func() time.Duration {
		return seconds(r.GetStart() + r.GetDuration()*float64(at)/float64(max(1, total)))
	}
	for _, text := range texts {
		w := subtitle.Word{Text: text, Start: place()}
		at += utf8.RuneCountInString(text) + 1
		w.End = place()
		words = append(words, w)
	}
	return words
}

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

// epochs puts the epochs of a stream behind each other: each counts its own seconds.
type epochs struct {
	shifts map[uint32]time.Duration
	began  time.Time     // of the first epoch, by its capture times; zero when they are not known
	latest time.Duration // end of what has been placed
}

// offset is what must be added to the times of r.
func (e *epochs) offset(r *rtapv1.Results) time.Duration {
	epoch := r.GetRtap().GetEpoch()
	if shift, known := e.shifts[epoch]; known {
		return shift
	}
	shift, began := e.latest, start(r)
	if e.shifts == nil {
		e.shifts, e.began, shift = map[uint32]time.Duration{}, began, 0
	} else if !began.IsZero() && !e.began.IsZero() {
		// By the clock of the wall, unless the audio came faster than it was spoken.
		shift = max(e.latest, began.Sub(e.began))
	}
	e.shifts[epoch] = shift
	return shift
}

func (e *epochs) saw(end time.Duration) { e.latest = max(e.latest, end) }

// start is when the first sample of r's epoch was captured.
func start(r *rtapv1.Results) time.Time {
	at := r.GetRtap().GetCapturedAt()
	if !at.IsValid() {
		return time.Time{}
	}
	closed := r.GetRtap().GetClosedAt()
	if closed == 0 {
		closed = r.GetStart() + r.GetDuration()
	}
	return at.AsTime().Add(-seconds(closed))
}
