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

// minStep is the least step of a server's clock that is worth anything: what is held back by less comes soon
// enough, and the clocks of two servers of a cluster may differ as well.
const minStep = 30 * time.Second

// WatchRedelivery has jobs delivered again that the server would keep back. It counts the time since a
// delivery by its wall clock: once that was set back, what a dead worker had in hand would wait for as
// long as the step was, and its stream with it. One for each process is enough.
func WatchRedelivery(ctx context.Context, rt *service.Runtime) error {
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	every := rt.Config.STT.AckWait
	clocks := map[string]*serverClock{finalDurable: {}, readyDurable: {}}
	// Twice as long as anybody may work on a job: who has just been started by a job that kills its
	// workers must not make the server forget how often it was delivered.
	stuck := &stuckJob{patience: 2 * rt.Config.STT.JobTimeout}
	for ctx.Err() == nil {
		step, err := lookAtClocks(ctx, rt.Bus, clocks, stuck)
		if err == nil && step > 0 {
			rt.Log.Warn("the server's clock was set back: having jobs delivered again that workers have in hand", "step", step.Round(time.Second).String())
			rt.Metrics.Errors.WithLabelValues("stt", "clock_set_back").Inc()
			err = redeliver(ctx, rt.Bus, rand.N(every)) //nolint:gosec // so that of many processes one does it
		}
		if err != nil && ctx.Err() == nil {
			rt.Log.Debug("looking for jobs that are kept back failed", "error", err)
		}
		pause(ctx, every)
	}
	return ctx.Err()
}

// lookAtClocks returns by how much a clock by which jobs are kept back was set back, or 0.
func lookAtClocks(ctx context.Context, b *bus.Bus, clocks map[string]*serverClock, stuck *stuckJob) (step time.Duration, err error) {
	s, err := b.JS().Stream(ctx, bus.StreamJobs)
	if err != nil {
		return 0, fmt.Errorf("opening jobs: %w", err)
	}
	for durable, clock := range clocks {
		c, err := s.Consumer(ctx, durable)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("looking at consumer %s: %w", durable, err)
		}
		step = max(step, clock.setBack(c.CachedInfo().TimeStamp, time.Now()))
	}
	info := s.CachedInfo()
	return max(step, stuck.ahead(info.State, info.TimeStamp, time.Now())), nil
}

// serverClock is how a server's wall clock stood when it was last looked at.
type serverClock struct {
	server time.Time
	local  time.Time // with its monotonic reading
}

// setBack notes how it stands, and says by how much it was set back since the last look, 0 for less than
// [minStep]. How long the answer took counts as well.
func (c *serverClock) setBack(server, local time.Time) (back time.Duration) {
	if !c.local.IsZero() {
		back = local.Sub(c.local) - server.Sub(c.server)
	}
	c.server, c.local = server, local
	if back < minStep {
		return 0
	}
	return back
}

// stuckJob is the oldest job, for who was started after the step: it lies in the server's future and does not move.
type stuckJob struct {
	patience time.Duration
	number   uint64
	since    time.Time
	told     bool
}

// ahead says how far in the server's future the oldest job was stored, once for each, and 0 as long as
// somebody may be at work on it.
func (j *stuckJob) ahead(state jetstream.StreamState, server, local time.Time) time.Duration {
	if state.Msgs == 0 || state.FirstSeq != j.number {
		*j = stuckJob{patience: j.patience, number: state.FirstSeq, since: local}
		return 0
	}
	ahead := state.FirstTime.Sub(server)
	if j.told || ahead < minStep || local.Sub(j.since) < j.patience {
		return 0
	}
	j.told = true
	return ahead
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
