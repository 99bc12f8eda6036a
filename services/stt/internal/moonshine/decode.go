package moonshine

import (
	"context"
	"slices"
	"strings"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// heard is a text as tokens, each with its probability. Those that were forced come first.
type heard struct {
	ids   []int64
	probs []float64
	// sentenceEnd is the probability of a mark that ends a sentence after the last word;
	// negative when the decoder was stopped before it came to that.
	sentenceEnd float64
}

// decode forces prefix, or the token that begins a text, and forced through the decoder in
// one pass, and then takes the most likely token until the end token or the limit. What is
// forced belongs to the text and to the limit. The decoder tells nothing of its
// probability but what is heard after it, so it gets the mean of that.
//
// What is expected goes through the first pass as well: as long as the most likely token is
// the expected one, its successor is known without another pass. The text is the same.
func (e *Engine) decode(ctx context.Context, x *encoded, prefix, forced, expected []int64, limit int) (h heard, err error) {
	if prefix == nil {
		prefix = []int64{bos}
	}
	prefix = slices.Concat(prefix, forced)
	h = heard{ids: slices.Clone(forced), probs: make([]float64, len(forced)), sentenceEnd: -1}
	afterWord := len(prefix) > 1 && e.spoken(prefix[len(prefix)-1])
	rows, err := e.decoder.begin(ctx, x, prefix, expected)
	for err == nil {
		id, p := best(rows[:vocabularySize])
		if afterWord {
			h.sentenceEnd = mass(rows[:vocabularySize], e.marks, id, p)
		}
		if id == eos {
			h.fill(len(forced), p)
			return h, nil
		}
		if afterWord = e.spoken(id); afterWord {
			h.sentenceEnd = -1
		}
		h.ids, h.probs = append(h.ids, id), append(h.probs, p)
		if len(h.ids) >= limit || transcriber.Repeats(h.ids) {
			h.fill(len(forced), p)
			return h, nil
		}
		if len(expected) > 0 && expected[0] == id {
			expected, rows = expected[1:], rows[vocabularySize:]
			continue
		}
		if err = e.decoder.forget(len(expected)); err != nil {
			break
		}
		expected = nil
		rows, err = e.decoder.next(ctx, id)
	}
	return h, err
}

// fill gives the first n tokens the mean probability of the others, or last without others.
func (h *heard) fill(n int, last float64) {
	if len(h.probs) > n {
		last = transcriber.GeometricMean(h.probs[n:])
	}
	for i := range h.probs[:n] {
		h.probs[i] = last
	}
}

// spoken says whether a token is part of a word; the others are marks.
func (e *Engine) spoken(id int64) bool {
	return transcriber.Sayable(piece(e.vocabulary, id))
}

// sentenceMarks returns the tokens that end a sentence, with what quotes and brackets close
// with it. Three dots do not.
func sentenceMarks(vocabulary []string) []int64 {
	var out []int64
	for id := int64(eos + 1); id < int64(len(vocabulary)); id++ {
		switch strings.TrimRight(strings.TrimPrefix(piece(vocabulary, id), wordStart), "\"'”’)]") {
		case ".", "?", "!":
			out = append(out, id)
		}
	}
	return out
}
