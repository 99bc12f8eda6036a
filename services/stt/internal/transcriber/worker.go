package transcriber

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

const (
	consumerFinals = "stt-final"
	consumerDrafts = "stt-draft"
	// maxSamples is the longest audio a job may hold: two maximum segments.
	maxSamples = 30 * SampleRateHz
)

// Worker takes one job at a time for one engine. Finals go before drafts: one that
// arrives while a draft is decoded ends the draft.
type Worker struct {
	rt     *service.Runtime
	slot   sync.Mutex // held while the engine works; guards engine and opts
	engine Engine
	opts   Options

	mu          sync.Mutex
	cancelDraft context.CancelFunc
	waiting     bool // a final wants the engine
}

// New makes a worker; opts go with every job.
func New(rt *service.Runtime, e Engine, opts Options) *Worker {
	return &Worker{rt: rt, engine: e, opts: opts}
}

// Swap puts another engine in place when the job in hand is done, and returns the one
// that it replaces, for the caller to close.
func (w *Worker) Swap(e Engine, opts Options) Engine {
	w.slot.Lock()
	defer w.slot.Unlock()
	old := w.engine
	w.engine, w.opts = e, opts
	return old
}

// Run works until ctx is done; the job in hand is finished first.
func (w *Worker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { w.loop(ctx, bus.StreamDrafts, consumerDrafts, bus.AllDrafts, w.draft) })
	w.loop(ctx, bus.StreamJobs, consumerFinals, bus.AllFinalJob, w.final)
	wg.Wait()
	return ctx.Err()
}

// loop fetches one message at a time and only when idle, so that workers share the load.
func (w *Worker) loop(ctx context.Context, stream, durable, subject string, handle func(context.Context, jetstream.Msg)) {
	for ctx.Err() == nil {
		c, err := w.rt.Bus.JS().CreateOrUpdateConsumer(ctx, stream, jetstream.ConsumerConfig{
			Durable: durable, FilterSubject: subject, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: w.rt.Config.STT.AckWait, MaxDeliver: -1, MaxAckPending: -1,
		})
		if err == nil {
			err = w.fetch(ctx, c, durable == consumerDrafts, handle)
		}
		if err != nil && ctx.Err() == nil {
			w.rt.Log.Warn("taking jobs failed", "consumer", durable, "error", err)
			w.rt.Metrics.Errors.WithLabelValues("stt", "fetch").Inc()
			pause(ctx, 500*time.Millisecond)
		}
	}
}

func (w *Worker) fetch(ctx context.Context, c jetstream.Consumer, drafts bool, handle func(context.Context, jetstream.Msg)) error {
	for ctx.Err() == nil {
		if drafts && !w.idle(ctx) {
			continue
		}
		msg, err := c.Next(jetstream.FetchContext(ctx))
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, context.Canceled):
			return nil
		case errors.Is(err, context.DeadlineExceeded):
			continue
		case err != nil:
			return err
		}
		// What has been taken is finished even when the process is asked to stop.
		handle(context.WithoutCancel(ctx), msg)
	}
	return nil
}

// idle waits until the engine is free.
func (w *Worker) idle(ctx context.Context) bool {
	if w.slot.TryLock() {
		w.slot.Unlock()
		return true
	}
	pause(ctx, 5*time.Millisecond)
	return false
}

func (w *Worker) final(ctx context.Context, msg jetstream.Msg) {
	job := &rtapv1.FinalJob{}
	if err := proto.Unmarshal(msg.Data(), job); err != nil {
		w.unreadable(ctx, msg, err)
		return
	}
	log := w.rt.Log.With("stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId())
	settled, err := w.rt.Bus.HasResult(ctx, job.GetStreamId(), job.GetOrdinal())
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
	if deliveries > uint64(w.rt.Config.STT.MaxDeliveries) {
		w.giveUp(ctx, msg, job, deliveries, "delivered too often without a result")
		return
	}
	pcm, err := decode(job.GetPcm())
	if err != nil {
		w.giveUp(ctx, msg, job, deliveries, err.Error())
		return
	}
	result := w.transcribe(ctx, msg, job, pcm)
	if result == nil {
		_ = msg.NakWithDelay(time.Second)
		return
	}
	w.settle(ctx, msg, result)
}

// transcribe decodes under the watchdog; nil when the engine failed.
func (w *Worker) transcribe(ctx context.Context, msg jetstream.Msg, job *rtapv1.FinalJob, pcm []float32) *rtapv1.Result {
	// Before the slot is free, too: a draft that hangs in C does not give it back.
	stopWatch := w.watch(msg, job)
	defer stopWatch()
	w.preempt()
	w.slot.Lock()
	defer w.slot.Unlock()
	w.admit()
	queued, _ := clock.Since(job.GetClosedAt())
	opts, info := w.opts, w.engine.Info()
	if info.Prompted {
		opts.Prompt = w.said(ctx, job)
	}
	outcome := contextNone
	if info.Prefixed {
		opts.Context, outcome = w.before(ctx, job, info)
	}
	began := time.Now()
	t, err := w.engine.Transcribe(ctx, pcm, opts)
	spent := time.Since(began)
	if err != nil {
		w.rt.Log.Error("transcribing failed", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "engine").Inc()
		return nil
	}
	if t.Alone != "" {
		outcome = contextAlone + t.Alone
	}
	w.rt.Metrics.STTContext.WithLabelValues(outcome).Inc()
	w.rt.Metrics.StageLatency.WithLabelValues("stt").Observe(spent.Seconds())
	w.rt.Metrics.FramesProcessed.WithLabelValues("stt").Inc()
	w.rt.Metrics.STTRealTimeFactor.WithLabelValues(info.Model).Observe(spent.Seconds() * SampleRateHz / float64(max(1, len(pcm))))
	r := result(job)
	r.Worker = w.rt.Instance
	r.Timings = &rtapv1.Timings{VadMs: job.GetVadMs(), QueueMs: max(0, queued.Seconds()*1000-job.GetVadMs()), SttMs: spent.Seconds() * 1000}
	r.Recognition = recognition(info, t)
	r.Kind = rtapv1.Result_KIND_TEXT
	if t.Text == "" {
		r.Kind, r.Reason = rtapv1.Result_KIND_EMPTY, t.Dropped
		w.rt.Metrics.Shed.WithLabelValues("text_" + t.Dropped).Inc()
	}
	return r
}

func result(job *rtapv1.FinalJob) *rtapv1.Result {
	return &rtapv1.Result{
		StreamId: job.GetStreamId(), Ordinal: job.GetOrdinal(), SegmentId: job.GetSegmentId(), UtteranceId: job.GetUtteranceId(),
		UtteranceFirstOrdinal: job.GetUtteranceFirstOrdinal(), Span: job.GetSpan(), SpeechFinal: job.GetSpeechFinal(),
		FromFinalize: job.GetFromFinalize(), GapMs: job.GetGapMs(), ClosedAt: job.GetClosedAt(), SpeechEndedAt: job.GetSpeechEndedAt(),
		Traceparent: job.GetTraceparent(),
	}
}

// settle stores a result and then acknowledges the job, never the other way round.
func (w *Worker) settle(ctx context.Context, msg jetstream.Msg, r *rtapv1.Result) {
	err := w.rt.Bus.StoreResult(ctx, r)
	if err != nil && !errors.Is(err, bus.ErrExists) {
		w.rt.Log.Warn("storing a result failed; the job will come again", "segment_id", r.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "store").Inc()
		_ = msg.NakWithDelay(500 * time.Millisecond)
		return
	}
	w.ack(ctx, msg)
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

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
