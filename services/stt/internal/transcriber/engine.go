// Package transcriber turns jobs into results: it owns the order of work, the engine
// interface, and what happens to work that cannot be done.
package transcriber

import (
	"context"
	"strings"
)

// SampleRateHz of all audio that engines get.
const SampleRateHz = 16000

// Options of one transcription.
type Options struct {
	// Language of the speech as a BCP 47 tag, or "auto".
	Language string
	// Prompt is what was said before, for engines that take one.
	Prompt string
	// Translate asks for English text whatever the language, of engines that can.
	Translate bool
	// Context is what was said just before, for engines that take one; nil for none.
	Context *Context
	// Stream is where the audio comes from, "" for nowhere. An engine may keep what it made of
	// a Draft, an open segment of which more is to come, for what becomes of the segment.
	Stream string
	Draft  bool
	// Forced are tokens of the same model that the text begins with, for engines that take
	// a context: earlier drafts agreed on them. The transcript holds them as if heard.
	Forced []uint32
}

// Context lets an engine hear a segment as the continuation of what came before it.
type Context struct {
	// PCM is the audio before the segment and contiguous with it, in the segment's form.
	PCM []float32
	// Tokens are those of the transcripts that are final for that audio, in order, as the
	// same model gave them.
	Tokens []uint32
}

// Word is one recognised word; times are samples from the start of the audio.
type Word struct {
	Text       string
	Start, End int
	Confidence float64
	// Estimated times were spread over the text or guessed, not aligned to the audio.
	Estimated bool
	// Tokens is how many of the transcript's tokens make the word, marks included.
	Tokens int
}

// Transcript is what an engine heard. An empty text has the reason in Dropped.
type Transcript struct {
	Text       string
	Words      []Word
	Confidence float64
	Language   string
	// Tokens are the model's own, punctuation included, for the next segment's context.
	Tokens  []uint32
	Dropped string
	// Alone is why the text was not heard in its context: that gave "empty" or "repetition"; or
	// AloneHalves, context or not. "" otherwise.
	Alone string
	// SentenceEnd is the probability that a sentence ends where the audio does; negative
	// when the engine cannot tell.
	SentenceEnd float64
}

// TextOf joins words with what stands between them in their language.
func TextOf(words []Word, separator string) string {
	texts := make([]string, len(words))
	for i, w := range words {
		texts[i] = w.Text
	}
	return strings.Join(texts, separator)
}

// Info names an engine and its model.
type Info struct {
	Engine, Model, Version string
	// Prompted engines make use of Options.Prompt.
	Prompted bool
	// Prefixed engines make use of Options.Context.
	Prefixed bool
}

// Engine recognises speech. One call at a time.
type Engine interface {
	// Transcribe takes mono samples in -1 to 1 at 16 kHz, of any number, and returns
	// early with the context's error when it is done.
	Transcribe(ctx context.Context, pcm []float32, opts Options) (Transcript, error)
	Info() Info
	Close() error
}
