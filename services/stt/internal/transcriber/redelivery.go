package transcriber

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
)

// The consumers of jobs that must not be lost.
const (
	finalDurable = "stt-final"
	readyDurable = "stt-ready"
)

// WatchRedelivery has jobs delivered again that the server would keep back. It counts the time since a
// delivery by its wall clock: once that was set back, what a dead worker had in hand would wait for as
// long as the step was, and its stream with it. One for each process is enough.
func WatchRedelivery(ctx context.Context, rt *service.Runtime) error {
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	every := rt.Config.STT.AckWait
	var seen uint64 // the oldest job for which it was done
	for ctx.Err() == nil {
		oldest, ahead, err := oldestJob(ctx, rt.Bus)
		if err == nil && ahead > every && oldest != seen {
			seen = oldest
			rt.Log.Warn("the server's clock was set back: having jobs delivered again that workers have in hand", "step", ahead.Round(time.Second).String())
			rt.Metrics.Errors.WithLabelValues("stt", "clock_set_back").Inc()
			err = redeliver(ctx, rt.Bus, rand.N(every)) //nolint:gosec // so that of many processes one does it
		}
		if err != nil && ctx.Err() == nil {
			rt.Log.Debug("looking for jobs that are kept back failed", "error", err)
			seen = 0
		}
		pause(ctx, every)
	}
	return ctx.Err()
}

// oldestJob returns the number of the oldest job, and how far in the server's future it was stored.
func oldestJob(ctx context.Context, b *bus.Bus) (number uint64, ahead time.Duration, err error) {
	s, err := b.JS().Stream(ctx, bus.StreamJobs)
	if err != nil {
		return 0, 0, fmt.Errorf("opening jobs: %w", err)
	}
	info := s.CachedInfo()
	if info.State.Msgs == 0 {
		return 0, 0, nil
	}
	return info.State.FirstSeq, info.State.FirstTime.Sub(info.TimeStamp), nil
}

// redeliver removes the consumers that have deliveries open, with all that they know of them, unless another
// process does so within the time given. Who takes their jobs makes them anew.
func redeliver(ctx context.Context, b *bus.Bus, within time.Duration) error {
	s, err := b.JS().Stream(ctx, bus.StreamJobs)
	if err != nil {
		return fmt.Errorf("opening jobs: %w", err)
	}
	made := map[string]time.Time{}
	for _, durable := range []string{finalDurable, readyDurable} {
		c, err := s.Consumer(ctx, durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at consumer %s: %w", durable, err)
		}
		made[durable] = c.CachedInfo().Created
	}
	pause(ctx, within)
	for durable, at := range made {
		c, err := s.Consumer(ctx, durable)
		if err == nil && c.CachedInfo().Created.Equal(at) && c.CachedInfo().NumAckPending > 0 {
			err = s.DeleteConsumer(ctx, durable)
		}
		if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return fmt.Errorf("removing consumer %s: %w", durable, err)
		}
	}
	return nil
}
