package moonshine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// Best is best.
var Best = best

// Encoded is what the encoder made of audio.
type Encoded struct {
	*encoded

	limit int
}

// Encode runs the encoder alone.
func (e *Engine) Encode(ctx context.Context, audio []float32) (Encoded, error) {
	x, err := e.encoder.encode(ctx, "", audio)
	return Encoded{x, limit(audio)}, err
}

// Close frees it.
func (a Encoded) Close() { a.destroy() }

// Decode runs the decoder alone and returns the number of passes.
func (e *Engine) Decode(ctx context.Context, a Encoded) (int, error) {
	for _, v := range a.cross {
		destroy(v)
	}
	a.cross = nil
	h, err := e.decode(ctx, a.encoded, nil, nil, nil, a.limit)
	return len(h.ids) + 1, err
}

// GoesOn says how many samples at the beginning of audio would be taken from the stream's draft.
func (e *Engine) GoesOn(stream string, audio []float32) int {
	p := e.encoder.pasts.of(stream)
	if p == nil {
		return 0
	}
	defer e.encoder.pasts.release(p)
	first, ok := p.reach(audio)
	if !ok {
		return 0
	}
	return p.settled()*hop - first
}

// Pasts is how many streams' drafts are kept.
func Pasts() int {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	return len(shared.streams)
}

// Judge makes the answer of a text as if it had been heard in audio alone, every token with
// probability p.
func (e *Engine) Judge(ctx context.Context, text string, p float64, audio []float32) (transcriber.Transcript, error) {
	h := heard{sentenceEnd: -1}
	for rest := wordStart + strings.ReplaceAll(text, " ", wordStart); rest != ""; {
		id, n := longest(e.vocabulary, rest)
		h.ids, h.probs, rest = append(h.ids, id), append(h.probs, p), rest[n:]
	}
	return e.believed(ctx, h, audio)
}

// longest is the longest token that text begins with, or that of its first byte.
func longest(vocabulary []string, text string) (id int64, n int) {
	for i, p := range vocabulary {
		if len(p) > n && strings.HasPrefix(text, p) && i > eos {
			id, n = int64(i), len(p)
		}
	}
	if n == 0 {
		return int64(slices.Index(vocabulary, fmt.Sprintf("<0x%02X>", text[0]))), 1
	}
	return id, n
}
