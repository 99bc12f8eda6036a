package moonshine

import (
	"context"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// minSpeech is the least speech for which an empty answer is not believed.
const minSpeech = 400 * transcriber.SampleRateHz / 1000

// Why what was heard of a segment with its context is not believed.
const (
	aloneEmpty      = "empty"
	aloneRepetition = "repetition"
)

// doubt says why a text heard with context is not believed; "" when it is. A context that
// does not fit its audio makes the decoder stop at once or lose its place.
func (e *Engine) doubt(h heard, prefix []int64, segment []float32) string {
	switch {
	case transcriber.Loops(h.ids), transcriber.BeginsAgain(e.spelled(prefix), e.spelled(h.ids)):
		return aloneRepetition
	case len(voiced(segment))*window >= minSpeech:
		if said, _, _ := transcriber.WithoutSounds(words(e.vocabulary, h, segment), h.ids); !transcriber.Sayable(transcriber.TextOf(said, " ")) {
			return aloneEmpty
		}
	}
	return ""
}

// believed makes the answer of what was heard in a segment alone. One that goes round in circles is
// heard in halves.
func (e *Engine) believed(ctx context.Context, h heard, segment []float32) (transcriber.Transcript, error) {
	if !transcriber.Loops(h.ids) {
		return e.transcript(h, segment), nil
	}
	whole := dropped("")
	if !transcriber.Repeats(h.ids) { // else the decoder was stopped: what came behind it is not known
		whole = e.transcript(h, segment)
	}
	return transcriber.InHalves(whole, segment, func(half []float32) (transcriber.Transcript, bool, error) {
		audio, peak := transcriber.Clean(half, minSamples, maxSamples)
		if peak < transcriber.SilencePeak {
			return dropped(""), false, nil
		}
		own, err := e.hear(ctx, sound{audio: audio}, nil, nil, limit(audio))
		if err != nil {
			return dropped(""), false, err
		}
		return e.transcript(own, half), transcriber.Loops(own.ids), nil
	})
}
