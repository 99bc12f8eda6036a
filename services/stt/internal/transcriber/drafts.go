package transcriber

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// staleDraft is the age from which on a draft helps nobody: the next one is there.
const staleDraft = time.Second

// taken is a draft job with its audio.
type taken struct {
	*rtapv1.DraftJob
	pcm []float32
}

// accept reads a draft job; nil when there is nothing to do. It is acknowledged first: a
// lost draft is no loss.
func (w *Worker) accept(msg jetstream.Msg) *taken {
	_ = msg.Ack()
	job := &rtapv1.DraftJob{}
	err := proto.Unmarshal(msg.Data(), job)
	var pcm []float32
	if err == nil {
		pcm, err = decode(job.GetPcm())
	}
	if err != nil {
		w.rt.Metrics.Errors.WithLabelValues("stt", "bad_draft").Inc()
		return nil
	}
	if job.GetKind() == rtapv1.DraftJob_KIND_UNSPECIFIED {
		return nil // it took the place of one that was not needed any more
	}
	t := &taken{job, pcm}
	if age, _ := clock.Since(job.GetCapturedAt()); age > staleDraft {
		w.shed(t, "draft_stale")
		return nil
	}
	return t
}

// shed gives a draft up, and tells vad so that it need not wait for it.
func (w *Worker) shed(job *taken, reason string) {
	w.rt.Metrics.Shed.WithLabelValues(reason).Inc()
	w.report(&rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DROPPED}, job)
}

// interim decodes the segment so far, if the engine has nothing better to do.
func (w *Worker) interim(ctx context.Context, msg jetstream.Msg) {
	job := w.accept(msg)
	if job == nil {
		return
	}
	if w.Load.share() > interimShare {
		w.shed(job, "draft_load")
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !w.turns.try(cancel) {
		w.shed(job, "draft_busy")
		return
	}
	defer w.turns.give()
	w.draft(ctx, job)
}

// speculative decodes what a segment will be if no speech follows.
func (w *Worker) speculative(ctx context.Context, msg jetstream.Msg) {
	job := w.accept(msg)
	if job == nil {
		return
	}
	if w.Load.crowded() {
		w.shed(job, "draft_load")
		return
	}
	w.turns.take(classSpeculative)
	defer w.turns.give()
	switch {
	case w.engine == nil:
		w.shed(job, "draft_busy")
		return
	case w.Load.crowded(): // since it waited
		w.shed(job, "draft_load")
		return
	}
	w.report(&rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_STARTED}, job)
	w.draft(ctx, job)
}

// draft decodes preliminary work and tells vad and subscribers.
func (w *Worker) draft(ctx context.Context, job *taken) {
	speculative := job.GetKind() == rtapv1.DraftJob_KIND_SPECULATIVE
	p := piece{stream: job.GetStreamId(), ordinal: job.GetOrdinal(), first: firstOf(job.GetContext(), job.GetOrdinal()), context: job.GetContext(), open: !speculative}
	if info := w.engine.Info(); info.Prefixed && job.GetModel() == info.Model {
		p.forced = job.GetCommittedTokens()
	}
	stopWatch := w.bound(job.GetStreamId(), job.GetSegmentId(), nil)
	h, err := w.hear(ctx, p, job.pcm, 0)
	stopWatch()
	if speculative {
		w.Load.add(h.spent)
	}
	r := &rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DROPPED, ContextOutcome: h.outcome, SttMs: h.spent.Seconds() * 1000, SentenceEnd: h.SentenceEnd}
	switch {
	case errors.Is(err, context.Canceled):
		w.rt.Metrics.Shed.WithLabelValues("draft_preempted").Inc()
	case err != nil:
		w.rt.Log.Warn("transcribing a draft failed", "segment_id", job.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "draft").Inc()
	case speculative && lacking(h.outcome):
		// A final would wait for its context; this text must not stand for it.
		w.rt.Metrics.Shed.WithLabelValues("draft_without_context").Inc()
	default:
		r.State, r.Recognition = rtapv1.DraftResult_STATE_DONE, recognition(h.info, h.Transcript)
	}
	var text agreement
	if r.GetState() == rtapv1.DraftResult_STATE_DONE {
		switch {
		case speculative:
			text = presumed(join(textOf(job.GetBefore()), job.GetCommitted()), r.GetRecognition().GetText())
		case h.Alone != "" && !begins(h.Text, job.GetCommitted()):
			// Heard without what was forced, it has other words and tokens in the places of the committed ones.
			text = agreement{committed: job.GetCommitted()}
		default:
			text = agree(job.GetCommitted(), job.GetPrevious(), wordsOf(h.Transcript))
			r.CommittedWords, r.CommittedTokens = uint32(text.words), uint32(min(text.tokens, len(h.Tokens)))
		}
		r.Committed, r.Hypothesis = text.committed, join(text.committed, text.tail)
	}
	w.report(r, job)
	if r.GetHypothesis() == "" || w.rt.Config.STT.InterimIntervalMS == 0 {
		return
	}
	if err := w.rt.Bus.PublishText(bus.Interim(job.GetStreamId()), interim(job, r, text)); err != nil {
		w.rt.Metrics.Shed.WithLabelValues("interim_not_sent").Inc()
	}
}

// presumed is what is shown of a speculative text, which is heard anew from the segment's
// beginning: nothing when it does not begin with what was committed.
func presumed(committed, text string) agreement {
	if !begins(text, committed) {
		return agreement{}
	}
	return agreement{committed: committed, tail: strings.Join(strings.Fields(text)[len(strings.Fields(committed)):], " ")}
}

// report tells vad what became of a draft.
func (w *Worker) report(r *rtapv1.DraftResult, job *taken) {
	r.StreamId, r.Ordinal, r.Revision = job.GetStreamId(), job.GetOrdinal(), job.GetRevision()
	r.Kind, r.Span, r.ContextOrdinals = job.GetKind(), job.GetSpan(), job.GetContext().GetOrdinals()
	w.tell(r)
	if r.GetKind() == rtapv1.DraftJob_KIND_SPECULATIVE && r.GetState() == rtapv1.DraftResult_STATE_DONE {
		w.known.drafted(r)
	}
}

// used tells vad that a final was taken from a draft that it had given up.
func (w *Worker) used(d *rtapv1.DraftResult) {
	w.tell(&rtapv1.DraftResult{
		StreamId: d.GetStreamId(), Ordinal: d.GetOrdinal(), Revision: d.GetRevision(), Kind: d.GetKind(), Span: d.GetSpan(),
		ContextOrdinals: d.GetContextOrdinals(), State: rtapv1.DraftResult_STATE_USED, SttMs: d.GetSttMs(),
	})
}

func (w *Worker) tell(r *rtapv1.DraftResult) {
	if err := w.rt.Bus.PublishDraftResult(r); err != nil {
		w.rt.Metrics.Shed.WithLabelValues("draft_result_not_sent").Inc()
	}
}

// firstOf is the ordinal at which the context of a draft begins.
func firstOf(c *rtapv1.Context, ordinal uint64) uint64 {
	if o := c.GetOrdinals(); len(o) > 0 {
		return o[0]
	}
	return ordinal
}

func interim(job *taken, d *rtapv1.DraftResult, text agreement) *rtapv1.Results {
	span, heard, committed := job.GetSpan(), d.GetRecognition(), text.committed
	if d.GetKind() == rtapv1.DraftJob_KIND_INTERIM && len(job.GetBefore()) > 0 {
		committed = join(textOf(job.GetBefore()), committed)
		span, heard = whole(job, heard)
	}
	r := wire.NewResults(span, heard)
	r.Channel.Alternatives[0].Transcript = join(committed, text.tail)
	r.Rtap.CommittedChars = uint32(utf8.RuneCountInString(committed))
	r.Rtap.StreamId, r.Rtap.SegmentId, r.Rtap.UtteranceId = job.GetStreamId(), job.GetSegmentId(), job.GetUtteranceId()
	r.Rtap.Revision, r.Rtap.Ordinal = job.GetRevision(), uint32(job.GetOrdinal())
	// By the clocks that nobody sets; the gateway, which gets only the wall time, could not tell.
	age, synchronised := clock.Since(job.GetCapturedAt())
	r.Rtap.CapturedAt, r.Rtap.Unsynchronised = job.GetCapturedAt().GetCapturedAt(), !synchronised
	r.Rtap.LatencyMs.Stt, r.Rtap.LatencyMs.Pipeline = d.GetSttMs(), age.Seconds()*1000
	r.Metadata.RequestId = job.GetStreamId()
	return r
}

// whole puts the words from before a draft's audio back in front of those heard in it.
func whole(job *taken, heard *rtapv1.Recognition) (*rtapv1.Span, *rtapv1.Recognition) {
	from := job.GetBefore()[0].GetStartSample()
	span := &rtapv1.Span{Epoch: job.GetSpan().GetEpoch(), StartSample: from, EndSample: job.GetSpan().GetEndSample()}
	all := proto.CloneOf(heard)
	all.Words = nil
	put := func(words []*rtapv1.Word, origin uint64) {
		for _, w := range words {
			w = proto.CloneOf(w)
			w.StartSample, w.EndSample = origin+w.GetStartSample()-from, origin+w.GetEndSample()-from
			all.Words = append(all.Words, w)
		}
	}
	put(job.GetBefore(), 0)
	put(heard.GetWords(), job.GetSpan().GetStartSample())
	return span, all
}

func textOf(words []*rtapv1.Word) string {
	var texts []string
	for _, w := range words {
		texts = append(texts, w.GetText())
	}
	return strings.Join(texts, " ")
}

func recognition(info Info, t Transcript) *rtapv1.Recognition {
	r := &rtapv1.Recognition{
		Text: strings.TrimSpace(t.Text), Confidence: float32(t.Confidence), Language: t.Language, Tokens: t.Tokens, Dropped: t.Dropped,
		Model: modelOf(info),
	}
	for _, word := range t.Words {
		r.Words = append(r.Words, &rtapv1.Word{
			Text: word.Text, StartSample: uint64(word.Start), EndSample: uint64(word.End),
			Confidence: float32(word.Confidence), Estimated: word.Estimated, Tokens: uint32(word.Tokens),
		})
	}
	return r
}
