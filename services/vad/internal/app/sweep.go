package app

import (
	"context"
	"time"
)

// sweepEvery is how often checkpoints of streams that ended long ago are looked for.
const sweepEvery = 10 * time.Minute

// sweep removes what is kept of streams that ended longer ago than vad.forget_ended_after.
func (f *follower) sweep(ctx context.Context) {
	for pause(ctx, sweepEvery) {
		gone, err := f.rt.Bus.ForgetEnded(ctx, f.rt.Config.VAD.ForgetEndedAfter)
		if err != nil && ctx.Err() == nil {
			f.rt.Log.Debug("removing what is left of ended streams failed", "error", err)
		}
		f.mu.Lock()
		for _, id := range gone {
			delete(f.ended, id)
		}
		f.mu.Unlock()
		if len(gone) > 0 {
			f.rt.Log.Info("streams that ended long ago are forgotten", "streams", len(gone))
		}
	}
}
