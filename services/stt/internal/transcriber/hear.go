package transcriber

import (
	"context"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// piece is what a job asks to be heard, final or not.
type piece struct {
	stream  string
	ordinal uint64
	first   uint64 // ordinal of the utterance's first segment
	context *rtapv1.Context
	window  int // samples that the audio and its context may have together; 0 for all that it came with
	end     uint64
	forced  []uint32
	open    bool // more of the segment is to come
}

// hearing is a transcript and how it came about.
type hearing struct {
	Transcript
	info    Info
	outcome string // of the context
	short   bool   // not all of the context was heard
	spent   time.Duration
}

// hear transcribes with what was said before, waiting for it at most as long as given. It
// is called by who has the turn.
func (w *Worker) hear(ctx context.Context, p piece, pcm []float32, wait time.Duration) (h hearing, err error) {
	opts := w.opts
	opts.Stream, opts.Draft = p.stream, p.open
	h.info, h.outcome = w.engine.Info(), contextNone
	if h.info.Prompted {
		opts.Prompt = w.said(ctx, p)
	}
	if h.info.Prefixed {
		opts.Forced = p.forced
		opts.Context, h.outcome = w.before(ctx, p, h.info, wait)
		h.short = h.outcome == contextShort
	}
	began := time.Now()
	err = w.Breaker.run(func() (err error) {
		h.Transcript, err = w.engine.Transcribe(ctx, pcm, opts)
		return err
	})
	h.spent = time.Since(began)
	if h.Alone != "" && !lacking(h.outcome) {
		h.outcome = contextAlone + h.Alone
	}
	return h, err
}
