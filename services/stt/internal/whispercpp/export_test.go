package whispercpp

import (
	"context"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// InHalves makes the answer of pcm as if the second hearing had heard words and tokens in it.
func (e *Engine) InHalves(ctx context.Context, words []transcriber.Word, ids []int32, p float64, pcm []float32) (transcriber.Transcript, error) {
	h := hearing{words: words, ids: ids, language: "en"}
	for range ids {
		h.probs = append(h.probs, p)
	}
	return e.inHalves(ctx, h, pcm, transcriber.Options{Language: "en"})
}
