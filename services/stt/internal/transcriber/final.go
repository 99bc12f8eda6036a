package transcriber

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// maxSamples is the longest audio a job may hold: two maximum segments.
const maxSamples = 30 * SampleRateHz

// final works on a closed segment: its result is stored before the job is acknowledged.
func (w *Worker) final(ctx context.Context, msg jetstream.Msg) {
	job := &rtapv1.FinalJob{}
	if err := proto.Unmarshal(msg.Data(), job); err != nil {
		w.unreadable(ctx, msg, err)
		return
	}
	log := w.rt.Log.With("stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId())
	failpoint.At("stt/taken")
	settled, err := w.settled(ctx, job)
	if err != nil {
		log.Warn("looking for a result failed", "error", err)
		_ = msg.NakWithDelay(500 * time.Millisecond)
		return
	}
	if settled {
		w.ack(ctx, msg)
		return
	}
	deliveries := uint64(1)
	if meta, err := msg.Metadata(); err == nil {
		deliveries = meta.NumDelivered
	}
	if deliveries > 1 {
		// A worker died or hung over it, lost its connection, or failed.
		w.rt.Metrics.Errors.WithLabelValues("stt", "redelivered").Inc()
		log.Warn("a job has come again", "deliveries", deliveries)
	}
	giveUp, settle := w.giveUp, w.settle
	if job.GetRetry() {
		giveUp, settle = w.retryFailed, func(ctx context.Context, msg jetstream.Msg, r *rtapv1.Result) { w.settleLate(ctx, msg, job, r) }
	}
	if deliveries > uint64(w.rt.Config.STT.MaxDeliveries) {
		giveUp(ctx, msg, job, deliveries, "delivered too often without a result")
		return
	}
	pcm, err := decode(job.GetPcm())
	if err != nil {
		giveUp(ctx, msg, job, deliveries, err.Error())
		return
	}
	result := w.transcribe(ctx, msg, job, pcm, deliveries < uint64(w.rt.Config.STT.MaxDeliveries))
	if result == nil {
		_ = msg.NakWithDelay(time.Second)
		return
	}
	settle(ctx, msg, result)
}

// settled says whether there is nothing left to do for a job.
func (w *Worker) settled(ctx context.Context, job *rtapv1.FinalJob) (bool, error) {
	if job.GetRetry() {
		// Its dead result stands; what tells is the letter, which goes when there is a text.
		_, err := w.rt.Bus.DeadLetter(ctx, job.GetDeadNumber())
		if errors.Is(err, bus.ErrNoLetter) {
			return true, nil
		}
		return false, err
	}
	return w.rt.Bus.HasResult(ctx, job.GetStreamId(), job.GetOrdinal())
}

// transcribe decodes under the watchdog; nil when the engine failed, or when it heard nothing without the
// context that may be there the next time.
func (w *Worker) transcribe(ctx context.Context, msg jetstream.Msg, job *rtapv1.FinalJob, pcm []float32, again bool) *rtapv1.Result {
	// Before the slot is free, too: what hangs in C does not give it back.
	stopWatch := w.watch(msg, job.GetStreamId(), job.GetSegmentId())
	defer stopWatch()
	w.turns.take(classFinal)
	defer w.turns.give()
	if w.engine == nil {
		return nil
	}
	queued, _ := clock.Since(job.GetClosedAt())
	if d := w.known.draft(job, w.engine.Info()); d != nil {
		// vad did not wait for the draft, or its answer was lost.
		w.used(d)
		r := w.recognised(job, d.GetRecognition(), d.GetSttMs(), queued)
		r.Speculative, r.ContextOutcome = true, d.GetContextOutcome()
		return r
	}
	wait := contextWait
	if job.GetRetry() {
		wait = 0 // what is not there has gone long ago
	}
	p := piece{
		stream: job.GetStreamId(), ordinal: job.GetOrdinal(), first: job.GetUtteranceFirstOrdinal(), context: job.GetContext(),
		window: w.room(msg, job, queued), end: job.GetSpan().GetEndSample(),
	}
	h, err := w.hear(ctx, p, pcm, wait)
	w.Load.add(h.spent)
	if err == nil && h.Text == "" && h.short && len(pcm) <= maxUnheard {
		// A short word may need what came before it, however late it is.
		p.window = 0
		first := h.spent
		h, err = w.hear(ctx, p, pcm, wait)
		w.Load.add(h.spent)
		h.spent += first
	}
	if err != nil {
		w.rt.Log.Error("transcribing failed", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "engine").Inc()
		return nil
	}
	if h.Text == "" && h.outcome == contextLate && again && !job.GetRetry() {
		w.rt.Log.Info("nothing was heard without the segments before, whose texts are not there yet; trying again", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId())
		return nil
	}
	r := w.recognised(job, recognition(h.info, h.Transcript), h.spent.Seconds()*1000, queued)
	r.ContextOutcome = h.outcome
	return r
}

// recognised is the result of a job with what was heard of its audio.
func (w *Worker) recognised(job *rtapv1.FinalJob, heard *rtapv1.Recognition, sttMS float64, queued time.Duration) *rtapv1.Result {
	r := result(job)
	r.Worker, r.Recognition, r.Kind = w.rt.Instance, heard, rtapv1.Result_KIND_TEXT
	r.ContextOutcome = job.GetDraftContextOutcome()
	r.Timings = &rtapv1.Timings{VadMs: job.GetVadMs(), QueueMs: max(0, queued.Seconds()*1000-job.GetVadMs()), SttMs: sttMS}
	if heard.GetText() == "" {
		r.Kind, r.Reason = rtapv1.Result_KIND_EMPTY, heard.GetDropped()
	}
	return r
}

func result(job *rtapv1.FinalJob) *rtapv1.Result {
	return &rtapv1.Result{
		StreamId: job.GetStreamId(), Ordinal: job.GetOrdinal(), SegmentId: job.GetSegmentId(), UtteranceId: job.GetUtteranceId(),
		UtteranceFirstOrdinal: job.GetUtteranceFirstOrdinal(), Span: job.GetSpan(), SpeechFinal: job.GetSpeechFinal(),
		FromFinalize: job.GetFromFinalize(), GapMs: job.GetGapMs(), ClosedAt: job.GetClosedAt(), SpeechEndedAt: job.GetSpeechEndedAt(),
		Traceparent: job.GetTraceparent(), ClosedSample: job.GetClosedSample(), ClosedBy: job.GetClosedBy(),
	}
}

// settle stores a result and then acknowledges the job, never the other way round.
func (w *Worker) settle(ctx context.Context, msg jetstream.Msg, r *rtapv1.Result) {
	failpoint.At("stt/decoded")
	err := w.rt.Bus.StoreResult(ctx, r)
	if err != nil && !errors.Is(err, bus.ErrExists) {
		w.rt.Log.Warn("storing a result failed; the job will come again", "segment_id", r.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "store").Inc()
		_ = msg.NakWithDelay(500 * time.Millisecond)
		return
	}
	failpoint.At("stt/stored")
	if err == nil {
		w.known.stored(r)
		w.count(r)
	}
	w.ack(ctx, msg)
	failpoint.At("stt/acknowledged")
}

func (w *Worker) ack(ctx context.Context, msg jetstream.Msg) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := msg.DoubleAck(ctx); err != nil {
		w.rt.Log.Warn("acknowledging a job failed; it may come again", "error", err)
	}
}

func (w *Worker) giveUp(ctx context.Context, msg jetstream.Msg, job *rtapv1.FinalJob, deliveries uint64, reason string) {
	w.rt.Log.Error("giving a job up", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId(), "reason", reason, "deliveries", deliveries)
	w.rt.Metrics.Errors.WithLabelValues("stt", "dead").Inc()
	dead := &rtapv1.DeadJob{Job: job, Reason: reason, Deliveries: uint32(deliveries), Worker: w.rt.Instance, GivenUpAt: clock.Now()}
	if err := w.rt.Bus.PublishDead(ctx, dead); err != nil {
		w.rt.Log.Warn("storing a dead job failed; it will come again", "error", err)
		_ = msg.NakWithDelay(time.Second)
		return
	}
	r := result(job)
	r.Kind, r.Reason, r.Worker = rtapv1.Result_KIND_DEAD, reason, w.rt.Instance
	w.settle(ctx, msg, r)
}

// unreadable ends a message that no version of this program wrote.
func (w *Worker) unreadable(ctx context.Context, msg jetstream.Msg, err error) {
	w.rt.Log.Error("a job cannot be read", "subject", msg.Subject(), "error", err)
	w.rt.Metrics.Errors.WithLabelValues("stt", "bad_job").Inc()
	dead := &rtapv1.DeadJob{Job: &rtapv1.FinalJob{StreamId: bus.StreamOf(msg.Subject()), Pcm: msg.Data()}, Reason: err.Error(), Worker: w.rt.Instance, GivenUpAt: clock.Now()}
	if err := w.rt.Bus.PublishDead(ctx, dead); err == nil {
		_ = msg.Term()
	}
}

// decode turns s16le into samples in -1 to 1.
func decode(raw []byte) ([]float32, error) {
	if len(raw)%2 != 0 || len(raw)/2 > maxSamples {
		return nil, fmt.Errorf("audio of %d bytes: want an even number, at most %d", len(raw), 2*maxSamples)
	}
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
	}
	return out, nil
}
