package moonshine

import (
	"context"

	ort "github.com/yalue/onnxruntime_go"
)

// Best is best.
var Best = best

// Encoded is what the encoder made of audio.
type Encoded struct {
	hidden *ort.Tensor[float32]
	limit  int
}

// Encode runs the encoder alone.
func (e *Engine) Encode(ctx context.Context, audio []float32) (Encoded, error) {
	hidden, err := e.encode(ctx, audio)
	return Encoded{hidden, limit(audio)}, err
}

// Close frees it.
func (a Encoded) Close() { destroy(a.hidden) }

// Decode runs the decoder alone and returns the number of passes.
func (e *Engine) Decode(ctx context.Context, a Encoded) (int, error) {
	h, err := e.decode(ctx, a.hidden, nil, nil, a.limit)
	return len(h.ids) + 1, err
}
