//go:build !nowhisper

package whispercpp

/*
#include <stdlib.h>
#include "native.h"
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"unsafe"

	whisper "github.com/ggerganov/whisper.cpp/bindings/go"
	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	// minSamples is a second: the library hears nothing in much less.
	minSamples = transcriber.SampleRateHz
	maxSamples = 30 * transcriber.SampleRateHz
	// positionsPerSecond of the encoder; 30 s fill its 1500.
	positionsPerSecond = 50
	// leastCtx and marginCtx: below them the decoder loses its place and repeats itself.
	leastCtx, marginCtx = 512, 128
	// attentionPad is what the library's flash attention fills keys up to. It never clears
	// the filling: with another number of positions the end of an earlier sound is heard
	// behind this one, and the decoder loses its place.
	attentionPad = 256
	// tokensPerSecond caps a runaway decoder; speech stays below it.
	tokensPerSecond, leastTokens = 10, 16
)

// Config says how an Engine works.
type Config struct {
	Path string // a file that pkg/ggml has checked
	Name string // for results
	// Threads of one inference.
	Threads int
	// BeamSize is 1 for greedy decoding.
	BeamSize int
}

// Engine is a loaded model. One Transcribe at a time.
type Engine struct {
	cfg          Config
	ctx          *whisper.Context
	multilingual bool
	audioCtx     int
	stop         *C.int
	thread       *thread
}

var quiet = sync.OnceFunc(func() { C.rtap_whisper_quiet() })

// New loads the model. It blocks for as long as reading the file takes.
func New(cfg Config) (*Engine, error) {
	model, err := ggml.Check(cfg.Path)
	if err != nil {
		return nil, err
	}
	quiet()
	e := &Engine{cfg: cfg, multilingual: model.Header.Multilingual(), audioCtx: int(model.Header.AudioCtx), thread: newThread()}
	e.thread.do(func() {
		C.rtap_whisper_forget()
		e.ctx = whisper.Whisper_init(cfg.Path)
	})
	if e.ctx == nil {
		e.thread.end()
		return nil, fmt.Errorf("loading %s: %w: %s", cfg.Path, ggml.ErrModel, reason())
	}
	e.stop = (*C.int)(C.calloc(1, C.size_t(unsafe.Sizeof(C.int(0)))))
	return e, nil
}

// Info names the engine.
func (e *Engine) Info() transcriber.Info {
	return transcriber.Info{Engine: "whisper", Model: e.cfg.Name, Version: Version(), Prompted: true}
}

// Close frees the model.
func (e *Engine) Close() error {
	e.thread.do(e.ctx.Whisper_free)
	e.thread.end()
	C.free(unsafe.Pointer(e.stop))
	return nil
}

// Transcribe implements transcriber.Engine. Language is that of the speech, also when the
// text is a translation.
func (e *Engine) Transcribe(ctx context.Context, pcm []float32, opts transcriber.Options) (transcriber.Transcript, error) {
	none := transcriber.Transcript{Language: opts.Language, SentenceEnd: -1}
	if len(pcm) == 0 {
		none.Dropped = transcriber.DropNoAudio
		return none, nil
	}
	audio, peak := transcriber.Clean(pcm, minSamples, maxSamples)
	if peak < transcriber.SilencePeak {
		none.Dropped = transcriber.DropSilence
		return none, nil
	}
	heard := min(len(pcm), maxSamples)
	positions := max(leastCtx, (heard*positionsPerSecond+transcriber.SampleRateHz-1)/transcriber.SampleRateHz+marginCtx)
	h, err := e.run(ctx, audio, heard, opts, positions)
	if err != nil {
		return none, err
	}
	t := h.transcript()
	if !h.doubtful(t) && !echoes(opts.Prompt, t.Text) && (opts.Prompt == "" || !twice(t.Text)) {
		return t, nil
	}
	// Once more with all the room there is, and without what may have led it astray.
	opts.Prompt = ""
	if h, err = e.run(ctx, audio, heard, opts, e.audioCtx); err != nil {
		return none, err
	}
	again := h.transcript()
	switch {
	case transcriber.Loops(h.ids) && opts.Draft:
		again = h.none(transcriber.DropRepetition)
	case transcriber.Loops(h.ids):
		return e.inHalves(ctx, h, pcm[:heard], opts)
	case t.Dropped == transcriber.DropUncertain && again.Confidence < secondChance:
		again = t
	}
	return again, nil
}

// inHalves is the answer where a text goes round in circles in the second hearing, too.
func (e *Engine) inHalves(ctx context.Context, h hearing, pcm []float32, opts transcriber.Options) (transcriber.Transcript, error) {
	whole := h.sure()
	if transcriber.Repeats(h.ids) { // until it was stopped: what is said there is not known
		whole = h.none("")
	}
	opts.Language = h.language
	t, err := transcriber.InHalves(whole, pcm, func(half []float32) (transcriber.Transcript, bool, error) {
		audio, peak := transcriber.Clean(half, minSamples, maxSamples)
		if peak < transcriber.SilencePeak {
			return h.none(""), false, nil
		}
		own, err := e.run(ctx, audio, len(half), opts, e.audioCtx)
		return own.sure(), transcriber.Loops(own.ids), err
	})
	t.Text = join(t.Words, t.Language)
	return t, err
}

// width rounds positions up so that the library need not fill them up. The 1500 of 30 s,
// which are no such number, are only for what needs them.
func (e *Engine) width(positions int) int {
	if w := (positions + attentionPad - 1) / attentionPad * attentionPad; w <= e.audioCtx {
		return w
	}
	return e.audioCtx
}

// run decodes audio, of which the first heard samples are not filling.
func (e *Engine) run(ctx context.Context, audio []float32, heard int, opts transcriber.Options, positions int) (h hearing, err error) {
	strategy := whisper.SAMPLING_GREEDY
	if e.cfg.BeamSize > 1 {
		strategy = whisper.SAMPLING_BEAM_SEARCH
	}
	params := e.ctx.Whisper_full_default_params(strategy)
	if e.cfg.BeamSize > 1 {
		params.SetBeamSize(e.cfg.BeamSize)
	}
	lang := -1 // detected
	if opts.Language != "auto" || !e.multilingual {
		if lang = languageID(opts.Language); !e.multilingual {
			lang = languageID("en")
		}
		if lang < 0 {
			return h, fmt.Errorf("whisper does not know the language %q", opts.Language)
		}
	}
	if err := params.SetLanguage(lang); err != nil {
		return h, err
	}
	params.SetTranslate(opts.Translate && e.multilingual)
	params.SetThreads(e.cfg.Threads)
	params.SetAudioCtx(e.width(positions))
	params.SetSingleSegment(true)
	params.SetNoContext(true)
	params.SetTemperatureFallback(0)
	params.SetTokenTimestamps(true)
	params.SetMaxTokensPerSegment(heard*tokensPerSecond/transcriber.SampleRateHz + leastTokens)
	params.SetPrintProgress(false)
	params.SetPrintRealtime(false)
	params.SetPrintTimestamps(false)

	var prompt *C.char
	if opts.Prompt != "" {
		prompt = C.CString(opts.Prompt)
		defer C.free(unsafe.Pointer(prompt))
	}
	C.rtap_whisper_stop(e.stop, 0)
	release := context.AfterFunc(ctx, func() { C.rtap_whisper_stop(e.stop, 1) })
	defer release()
	var rc C.int
	e.thread.do(func() {
		if rc = e.full(&params, prompt, audio); rc == 0 {
			h = e.collect(heard)
		}
	})
	switch {
	case ctx.Err() != nil:
		return h, ctx.Err()
	case rc != 0:
		return h, fmt.Errorf("whisper.cpp failed (%d): %s", rc, reason())
	}
	return h, nil
}

func (e *Engine) full(params *whisper.Params, prompt *C.char, audio []float32) C.int {
	// params holds pointers to C memory only; Go's memory is passed as arguments.
	return C.rtap_whisper_run((*C.struct_whisper_context)(e.c()), (*C.struct_whisper_full_params)(unsafe.Pointer(params)),
		prompt, (*C.float)(unsafe.Pointer(&audio[0])), C.int(len(audio)), e.stop)
}

// c is the binding's context as this package's own cgo takes it.
func (e *Engine) c() unsafe.Pointer { return unsafe.Pointer(e.ctx) }

// languageID returns the library's number of a language, or -1. The binding's own lookup
// leaks a string at each call.
func languageID(tag string) int {
	base, _, _ := strings.Cut(strings.ToLower(tag), "-")
	for id := range whisper.Whisper_lang_max_id() + 1 {
		if whisper.Whisper_lang_str(id) == base {
			return id
		}
	}
	return -1
}

func reason() string {
	var buf [512]C.char
	C.rtap_whisper_reason(&buf[0], C.size_t(len(buf)))
	s := strings.TrimSpace(C.GoString(&buf[0]))
	if s == "" {
		return "it gives no reason"
	}
	return s
}

// thread runs functions on one thread of the operating system.
type thread struct {
	calls chan func()
	wg    sync.WaitGroup
}

func newThread() *thread {
	t := &thread{calls: make(chan func())}
	t.wg.Go(func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for f := range t.calls {
			f()
		}
	})
	return t
}

func (t *thread) do(f func()) {
	done := make(chan struct{})
	t.calls <- func() { defer close(done); f() }
	<-done
}

func (t *thread) end() { close(t.calls); t.wg.Wait() }
