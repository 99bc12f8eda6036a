package transcriber

import (
	"context"
	"errors"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// preempt ends the draft in work, so that a final need not wait for it.
func (w *Worker) preempt() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = true
	if w.cancelDraft != nil {
		w.cancelDraft()
	}
}

func (w *Worker) admit() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = false
}

// draft decodes preliminary work. It is acknowledged first: a lost draft is no loss.
func (w *Worker) draft(ctx context.Context, msg jetstream.Msg) {
	_ = msg.Ack()
	job := &rtapv1.DraftJob{}
	if err := proto.Unmarshal(msg.Data(), job); err != nil {
		w.rt.Metrics.Errors.WithLabelValues("stt", "bad_draft").Inc()
		return
	}
	pcm, err := decode(job.GetPcm())
	if err != nil {
		w.rt.Metrics.Errors.WithLabelValues("stt", "bad_draft").Inc()
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	if w.waiting || !w.slot.TryLock() {
		w.mu.Unlock()
		w.rt.Metrics.Shed.WithLabelValues("draft_busy").Inc()
		return
	}
	w.cancelDraft = cancel
	w.mu.Unlock()
	info := w.engine.Info()
	t, err := w.engine.Transcribe(ctx, pcm, w.opts)
	w.mu.Lock()
	w.cancelDraft = nil
	w.mu.Unlock()
	w.slot.Unlock()
	switch {
	case errors.Is(err, context.Canceled):
		w.rt.Metrics.Shed.WithLabelValues("draft_preempted").Inc()
	case err != nil:
		w.rt.Log.Warn("transcribing a draft failed", "segment_id", job.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "draft").Inc()
	case t.Text != "":
		if err := w.rt.Bus.PublishText(bus.Interim(job.GetStreamId()), interim(info, job, t)); err != nil {
			w.rt.Metrics.Shed.WithLabelValues("interim_not_sent").Inc()
		}
	}
}

func interim(info Info, job *rtapv1.DraftJob, t Transcript) *rtapv1.Results {
	span := job.GetSpan()
	r := wire.NewResults(span, recognition(info, t))
	r.Rtap.StreamId, r.Rtap.SegmentId, r.Rtap.UtteranceId = job.GetStreamId(), job.GetSegmentId(), job.GetUtteranceId()
	r.Rtap.Revision, r.Rtap.Ordinal = job.GetRevision(), uint32(job.GetOrdinal())
	r.Rtap.CapturedAt = job.GetCapturedAt().GetCapturedAt()
	r.Metadata.RequestId = job.GetStreamId()
	return r
}

func recognition(info Info, t Transcript) *rtapv1.Recognition {
	r := &rtapv1.Recognition{
		Text: strings.TrimSpace(t.Text), Confidence: float32(t.Confidence), Language: t.Language, Tokens: t.Tokens, Dropped: t.Dropped,
		Model: &rtapv1.Model{Name: info.Model, Arch: info.Engine, Version: info.Version},
	}
	for _, word := range t.Words {
		r.Words = append(r.Words, &rtapv1.Word{
			Text: word.Text, StartSample: uint64(word.Start), EndSample: uint64(word.End),
			Confidence: float32(word.Confidence), Estimated: word.Estimated,
		})
	}
	return r
}
