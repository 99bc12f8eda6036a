package moonshine

import (
	"context"
	"math"
	"strings"

	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	// minSpeech is the least speech for which an empty answer is not believed.
	minSpeech = 400 * transcriber.SampleRateHz / 1000
	// mostDifferent is which part of the words may be others in the halves of a text: the cut
	// costs one or two, a clause that nobody has said a third or more.
	mostDifferent = 0.3
)

// Why a segment with context was decoded alone.
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
		if said, _, _ := transcriber.WithoutSounds(words(e.vocabulary, h, segment), h.ids); !transcriber.Sayable(join(said)) {
			return aloneEmpty
		}
	}
	return ""
}

// believed makes the answer of what was heard in a segment alone, unless it goes round in
// circles and nobody said so.
func (e *Engine) believed(ctx context.Context, h heard, segment []float32) (transcriber.Transcript, error) {
	if transcriber.Loops(h.ids) {
		said, err := e.saidAgain(ctx, h, segment)
		if err != nil {
			return transcriber.Transcript{}, err
		}
		if !said {
			return dropped(transcriber.DropRepetition), nil
		}
	}
	return e.transcript(h, segment), nil
}

// saidAgain says whether people said what a text says again and again: the segment's halves,
// each heard alone, have the same words. A decoder that has lost its place says there
// what was said.
func (e *Engine) saidAgain(ctx context.Context, h heard, segment []float32) (bool, error) {
	if transcriber.Repeats(h.ids) {
		return false, nil // the decoder was stopped: what came behind it is not known
	}
	var halves []string
	middle := stillest(segment)
	for _, half := range [][]float32{segment[:middle], segment[middle:]} {
		half, _ = transcriber.Clean(half, minSamples, maxSamples)
		own, err := e.hear(ctx, sound{audio: half}, nil, nil, limit(half))
		if err != nil {
			return false, err
		}
		halves = append(halves, e.spelled(own.ids)...)
	}
	wrong, words := wer.Errors(strings.Join(e.spelled(h.ids), " "), strings.Join(halves, " "))
	return float64(wrong) <= mostDifferent*float64(words), nil
}

// stillest is where a tenth of a second in the middle half of audio is quietest: there a cut
// costs the fewest words.
func stillest(audio []float32) (at int) {
	const tenth = transcriber.SampleRateHz / 10
	at = len(audio) / 2
	least := math.Inf(1)
	for from := len(audio) / 4; from+tenth <= len(audio)*3/4; from += window {
		var sum float64
		for _, x := range audio[from : from+tenth] {
			sum += float64(x) * float64(x)
		}
		if sum < least {
			least, at = sum, from+tenth/2
		}
	}
	return at
}
