package transcriber

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// ready stores the text that a draft gave for a segment before it was closed. It needs no
// engine, so it never waits for an inference.
func (w *Worker) ready(ctx context.Context, msg jetstream.Msg) {
	job := &rtapv1.FinalJob{}
	if err := proto.Unmarshal(msg.Data(), job); err != nil {
		w.unreadable(ctx, msg, err)
		return
	}
	failpoint.At("stt/ready-taken")
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered > 1 {
		// Its result may have been stored, released and deleted: the next one would stand again.
		if settled, err := w.rt.Bus.HasResult(ctx, job.GetStreamId(), job.GetOrdinal()); err == nil && settled {
			w.ack(ctx, msg)
			return
		}
	}
	queued, _ := clock.Since(job.GetClosedAt())
	r := w.recognised(job, job.GetDraft(), job.GetDraftSttMs(), queued)
	r.Speculative = true
	w.settle(ctx, msg, r)
}
