package moonshine

import (
	"context"
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
