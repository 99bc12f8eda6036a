package moonshine

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
	ort "github.com/yalue/onnxruntime_go"
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
func (e *Engine) decode(ctx context.Context, hidden *ort.Tensor[float32], prefix, forced []int64, limit int) (h heard, err error) {
	if prefix == nil {
		prefix = []int64{bos}
	}
	prefix = slices.Concat(prefix, forced)
	h = heard{ids: slices.Clone(forced), probs: make([]float64, len(forced)), sentenceEnd: -1}
	afterWord := len(prefix) > 1 && e.spoken(prefix[len(prefix)-1])
	logits, err := e.decoder.begin(ctx, hidden, prefix)
	for err == nil {
		id, p := best(logits)
		if afterWord {
			h.sentenceEnd = mass(logits, e.marks, id, p)
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
		logits, err = e.decoder.next(ctx, id)
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
	return strings.ContainsFunc(piece(e.vocabulary, id), func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
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
