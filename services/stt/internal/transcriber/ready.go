package transcriber

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// fresh is how old a job with its text may be that surely comes for the first time.
const fresh = time.Second

// ready stores the text that a draft gave for a segment before it was closed. It needs no
// engine, so it never waits for an inference.
func (w *Worker) ready(ctx context.Context, msg jetstream.Msg) {
	job := &rtapv1.FinalJob{}
	if err := proto.Unmarshal(msg.Data(), job); err != nil {
		w.unreadable(ctx, msg, err)
		return
	}
	failpoint.At("stt/ready-taken")
	queued, _ := clock.Since(job.GetClosedAt())
	if meta, err := msg.Metadata(); err == nil && (meta.NumDelivered > 1 || queued > fresh) {
		// Its result may have been stored, released and deleted: the next one would stand again. (A consumer that
		// was made anew counts its deliveries anew.)
		if settled, err := w.rt.Bus.HasResult(ctx, job.GetStreamId(), job.GetOrdinal()); err == nil && settled {
			w.ack(ctx, msg)
			return
		}
	}
	r := w.recognised(job, job.GetDraft(), job.GetDraftSttMs(), queued)
	r.Speculative = true
	w.settle(ctx, msg, r)
}
