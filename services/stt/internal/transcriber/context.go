package transcriber

import (
	"context"
	"slices"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// contextWait is how long a segment waits for the one before it, which another worker
	// has in hand when a file is played faster than it was spoken, or speech is dense.
	contextWait = 2 * time.Second
	contextPoll = 10 * time.Millisecond
	// contextRead bounds one look at the server, also when there is no time left to wait.
	contextRead = 2 * time.Second
	// maxUnheard is the most audio, in samples, that came out empty and is heard again with
	// what follows it: a word between two pauses, not a mumble of seconds.
	maxUnheard = 3 * SampleRateHz / 2
)

// What became of a job's context, for rtap_stt_context_total.
const (
	contextUsed    = "used"
	contextNone    = "none"    // the segment begins an utterance, or fills the window alone
	contextShort   = "short"   // only the newest of it, or none: the final had waited too long for all
	contextLate    = "late"    // a result it needs is not there yet
	contextMissing = "missing" // a result it needs was given up, or has none of what is needed
	contextModel   = "model"   // another model's
	contextAlone   = "alone_"  // heard again without it, or in halves: with Transcript.Alone
)

// lacking says whether a segment did not have the context that it needs, whatever was made of it.
func lacking(outcome string) bool {
	return outcome == contextLate || outcome == contextMissing || outcome == contextModel
}

// before returns what was said just before a segment: its audio, and the tokens that
// are final for it, from stored results only. It is nil unless the result of every segment
// in it is there and of the same model: half a context leads astray. Where the window leaves no
// room for all of it, whole segments are left out, the oldest first.
func (w *Worker) before(ctx context.Context, p piece, info Info, wait time.Duration) (c *Context, outcome string) {
	said, pcm := p.context, p.context.GetPcm()
	if len(said.GetOrdinals()) == 0 {
		return nil, contextNone
	}
	if p.window > 0 && int(p.end-said.GetSpan().GetEndSample()) >= p.window {
		return nil, contextShort // nothing that would have to be waited for
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var tokens []uint32
	from := len(pcm)
	for _, n := range slices.Backward(said.GetOrdinals()) {
		r := w.await(ctx, p, n)
		if r == nil {
			return nil, contextLate
		}
		if p.window > 0 && int(p.end-r.GetSpan().GetStartSample()) > p.window {
			outcome = contextShort
			break
		}
		switch heard := r.GetRecognition(); {
		case r.GetKind() == rtapv1.Result_KIND_EMPTY: // nothing was heard there
		case r.GetKind() != rtapv1.Result_KIND_TEXT:
			return nil, contextMissing
		case heard.GetModel().GetName() != info.Model || heard.GetModel().GetVersion() != info.Version:
			return nil, contextModel
		case len(heard.GetTokens()) == 0:
			return nil, contextMissing // it would be heard, and said, again
		default:
			tokens = slices.Concat(heard.GetTokens(), tokens)
		}
		from = 2 * int(r.GetSpan().GetStartSample()-said.GetSpan().GetStartSample())
	}
	if outcome == "" {
		from, outcome = 0, contextUsed
	}
	if from < 0 || from > len(pcm) {
		return nil, contextMissing
	}
	pcm = pcm[from:]
	if len(tokens) == 0 && len(pcm) > 2*maxUnheard {
		pcm = nil
		if outcome == contextUsed {
			outcome = contextNone
		}
	}
	if len(pcm) == 0 {
		return nil, outcome
	}
	samples, err := decode(pcm)
	if err != nil {
		return nil, contextMissing
	}
	return &Context{PCM: samples, Tokens: tokens}, outcome
}

// await returns the result of an ordinal of the piece's stream, or nil when it does not
// come in time.
func (w *Worker) await(ctx context.Context, p piece, ordinal uint64) *rtapv1.Result {
	if r := w.known.result(p.stream, ordinal); r != nil {
		return r
	}
	for {
		once, cancel := context.WithTimeout(context.WithoutCancel(ctx), contextRead)
		r, err := w.rt.Bus.Result(once, p.stream, ordinal)
		cancel()
		if err != nil {
			w.rt.Log.Debug("reading the context failed", "stream_id", p.stream, "ordinal", ordinal, "error", err)
		}
		if r != nil || ctx.Err() != nil {
			return r
		}
		pause(ctx, contextPoll)
	}
}
