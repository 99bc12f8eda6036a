// Package transcriber turns jobs into results: it owns the order of work, the engine
// interface, and what happens to work that cannot be done.
package transcriber

import "context"

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
}

// Word is one recognised word; times are samples from the start of the audio.
type Word struct {
	Text       string
	Start, End int
	Confidence float64
	// Estimated times were spread over the text, not aligned to the audio.
	Estimated bool
}

// Transcript is what an engine heard. An empty text has the reason in Dropped.
type Transcript struct {
	Text       string
	Words      []Word
	Confidence float64
	Language   string
	Tokens     []uint32
	Dropped    string
}

// Info names an engine and its model.
type Info struct {
	Engine, Model, Version string
	// Prompted engines make use of Options.Prompt.
	Prompted bool
}

// Engine recognises speech. One call at a time.
type Engine interface {
	// Transcribe takes mono samples in -1 to 1 at 16 kHz, of any number, and returns
	// early with the context's error when it is done.
	Transcribe(ctx context.Context, pcm []float32, opts Options) (Transcript, error)
	Info() Info
	Close() error
}
