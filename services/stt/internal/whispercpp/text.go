//go:build !nowhisper

package whispercpp

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	whisper "github.com/ggerganov/whisper.cpp/bindings/go"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

/*
#include "native.h"
*/
import "C"

const (
	// samplesPerTick: the library counts time in hundredths of a second.
	samplesPerTick = transcriber.SampleRateHz / 100
	// Texts with a lower geometric mean of token probabilities are noise.
	minConfidence = 0.35
	// A text that the model doubts and whose audio it takes for no speech is invented.
	maxNoSpeech, doubtful = 0.6, 0.6
	// secondChance is the confidence that a second hearing of an uncertain text must have:
	// short speech gets above it with all the context, noise does not.
	secondChance = 0.45
)

// unspaced languages write no spaces: every character or two is a word of its own.
var unspaced = []string{"zh", "ja", "th", "lo", "my", "yue"}

// hearing is what one run gave.
type hearing struct {
	ids      []int32            // text tokens, without timestamps and control tokens
	words    []transcriber.Word // which have all of them
	probs    []float64
	noSpeech float64
	language string
}

// collect reads the result of the last run; for the engine's thread.
func (e *Engine) collect(heard int) hearing {
	h := hearing{language: "en"}
	if e.multilingual {
		h.language = whisper.Whisper_lang_str(e.ctx.Whisper_full_lang_id())
	}
	spaced := !slices.Contains(unspaced, h.language)
	eot := e.ctx.Whisper_token_eot()
	var piece []byte // a word so far
	var word transcriber.Word
	var probs []float64
	unplaced := 0 // tokens that made no word
	flush := func() {
		unplaced += len(probs)
		if text := strings.TrimSpace(string(piece)); text != "" && utf8.ValidString(text) {
			word.Text, word.Confidence, word.Tokens = text, transcriber.GeometricMean(probs), unplaced
			h.words, unplaced = append(h.words, word), 0
		}
		piece, probs = nil, nil
	}
	for s := range e.ctx.Whisper_full_n_segments() {
		c := (*C.struct_whisper_context)(e.c())
		h.noSpeech = max(h.noSpeech, float64(C.whisper_full_get_segment_no_speech_prob(c, C.int(s))))
		for i := range e.ctx.Whisper_full_n_tokens(s) {
			data := e.ctx.Whisper_full_get_token_data(s, i)
			if data.Id() >= eot {
				continue
			}
			text := e.ctx.Whisper_full_get_token_text(s, i)
			p := float64(e.ctx.Whisper_full_get_token_p(s, i))
			h.ids, h.probs = append(h.ids, int32(data.Id())), append(h.probs, p)
			if starts := strings.HasPrefix(text, " ") || !spaced && utf8.Valid(piece); starts {
				flush()
			}
			start, end := tick(data.T0(), heard), tick(data.T1(), heard)
			if len(piece) == 0 {
				// The library guesses a token's time from its length, its probability and the loudness.
				word = transcriber.Word{Start: start, Estimated: true}
			}
			piece, probs = append(piece, text...), append(probs, p)
			word.End = max(end, word.Start)
		}
	}
	flush()
	if n := len(h.words); n > 0 {
		h.words[n-1].Tokens += unplaced
	}
	order(h.words, heard)
	return h
}

func tick(t int64, heard int) int { return min(max(int(t)*samplesPerTick, 0), heard) }

// order makes times rise and every word last for something.
func order(words []transcriber.Word, heard int) {
	last := 0
	for i := range words {
		w := &words[i]
		w.Start = min(max(w.Start, last), max(0, heard-1))
		w.End = min(max(w.End, w.Start+1), heard)
		last = w.End
	}
}

// doubtful says whether a text deserves a second hearing at full context: the small one
// makes the decoder lose its place, stop in mid-word, or doubt what is short.
func (h hearing) doubtful(t transcriber.Transcript) bool {
	return transcriber.Loops(h.ids) || t.Dropped == transcriber.DropUncertain || strings.HasSuffix(t.Text, "-")
}

// none is the answer without a text.
func (h hearing) none(dropped string) transcriber.Transcript {
	return transcriber.Transcript{Language: h.language, Dropped: dropped, SentenceEnd: -1}
}

// transcript decides what of a hearing is speech.
func (h hearing) transcript() transcriber.Transcript {
	words, ids, sounds := transcriber.WithoutSounds(h.words, h.ids)
	text, confidence := join(words, h.language), transcriber.GeometricMean(h.probs)
	switch {
	case !transcriber.Sayable(text):
		return h.none(transcriber.NothingSaid(sounds))
	case confidence < minConfidence:
		return h.none(transcriber.DropUncertain)
	case h.noSpeech > maxNoSpeech && confidence < doubtful:
		return h.none(transcriber.DropNoSpeech)
	}
	return transcriber.Transcript{
		Text: text, Words: words, Tokens: ids, Confidence: math.Min(confidence, 1), Language: h.language, SentenceEnd: -1,
	}
}

// sure is the transcript of a hearing after which there is no other.
func (h hearing) sure() transcriber.Transcript {
	if t := h.transcript(); t.Confidence >= secondChance {
		return t
	}
	return h.none(transcriber.DropUncertain)
}

// join returns the text of words of a language.
func join(words []transcriber.Word, language string) string {
	if slices.Contains(unspaced, language) {
		return transcriber.TextOf(words, "")
	}
	return transcriber.TextOf(words, " ")
}
