package transcriber

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// settleLate stores the text of a job that had been given up beside its dead result, then
// removes its letter, and acknowledges the retry last: whatever dies in between, the letter
// brings it here again, and the first late result stands. An empty text has no place in the
// log; that nothing was said is all there is to know.
func (w *Worker) settleLate(ctx context.Context, msg jetstream.Msg, job *rtapv1.FinalJob, r *rtapv1.Result) {
	var err error
	if r.GetKind() == rtapv1.Result_KIND_TEXT {
		err = w.rt.Bus.StoreLateResult(ctx, r)
	}
	stands := errors.Is(err, bus.ErrExists)
	if err == nil || stands {
		err = w.rt.Bus.ForgetDead(ctx, job.GetDeadNumber(), job.GetStreamId(), job.GetSegmentId())
	}
	if err != nil {
		w.rt.Log.Warn("storing a late result failed; the retry will come again", "segment_id", job.GetSegmentId(), "error", err)
		w.rt.Metrics.Errors.WithLabelValues("stt", "store").Inc()
		_ = msg.NakWithDelay(500 * time.Millisecond)
		return
	}
	if !stands {
		w.count(r)
	}
	w.rt.Log.Info("a dead letter has its text", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId(), "empty", r.GetKind() != rtapv1.Result_KIND_TEXT)
	outcome := bus.RetryStored
	if r.GetKind() != rtapv1.Result_KIND_TEXT {
		outcome = bus.RetryEmpty
	}
	w.retried(job, rtapv1.ServiceEvent_SEVERITY_INFO, outcome, r.GetReason())
	w.ack(ctx, msg)
}

// retryFailed ends a retry that brought nothing; the letter stays.
func (w *Worker) retryFailed(ctx context.Context, msg jetstream.Msg, job *rtapv1.FinalJob, deliveries uint64, reason string) {
	w.rt.Log.Error("a retry of a dead letter failed, too", "stream_id", job.GetStreamId(), "segment_id", job.GetSegmentId(), "reason", reason, "deliveries", deliveries)
	w.rt.Metrics.Errors.WithLabelValues("stt", "dead").Inc()
	w.retried(job, rtapv1.ServiceEvent_SEVERITY_ERROR, bus.RetryFailed, reason)
	w.ack(ctx, msg)
}

func (w *Worker) retried(job *rtapv1.FinalJob, severity rtapv1.ServiceEvent_Severity, outcome, reason string) {
	w.rt.Emit(bus.KindRetry, severity, "a dead letter was tried again: "+outcome, func(e *rtapv1.ServiceEvent) {
		e.StreamId = job.GetStreamId()
		e.Attributes = map[string]string{"segment_id": job.GetSegmentId(), bus.RetryOutcome: outcome, "reason": reason}
	})
}
