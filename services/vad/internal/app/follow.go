package app

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/vad/internal/stream"
)

const (
	// discoverEvery bounds how long a new stream waits when its event was not heard, and
	// endedEvery how long one that had ended and begins anew does.
	discoverEvery = 500 * time.Millisecond
	endedEvery    = 5 * time.Second
	// politeness is for how long a process leaves a new stream to others, for each stream
	// that it works on itself: so the one with the fewest is the first. Of several that begin
	// together each process begins with another.
	politeness    = 20 * time.Millisecond
	maxPoliteness = 400 * time.Millisecond
)

// Follow works on every stream that has audio and that no other process works on until ctx
// is done, each with a detector of its own and the pauses of the configuration.
func Follow(ctx context.Context, rt *service.Runtime, detect func() (Detector, error)) error {
	p := stream.PausesOf(rt.Config)
	return follow(ctx, rt, detect, func() stream.Pauses { return p })
}

// follow is Follow with pauses that may change at any time.
func follow(ctx context.Context, rt *service.Runtime, detect func() (Detector, error), pauses func() stream.Pauses) error {
	f := &follower{rt: rt, detect: detect, pauses: pauses, known: map[string]bool{}, ended: map[string]uint64{}, held: newHeld(rt)}
	return f.run(ctx)
}

type follower struct {
	rt     *service.Runtime
	detect func() (Detector, error)
	pauses func() stream.Pauses
	held   *held

	mu    sync.Mutex
	known map[string]bool   // streams that are wanted; true while this process holds the lease
	ended map[string]uint64 // epoch of streams that have ended
}

func (f *follower) run(ctx context.Context) error {
	if err := f.rt.Bus.Await(ctx); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	unsubscribe, err := f.rt.Bus.Subscribe(bus.Event("capture", "source"), func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer unsubscribe()
	f.rt.Health.SetState(obs.StateActive)
	defer f.held.stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { f.sweep(ctx) })
	woken, looked := true, time.Now()
	for {
		ids, err := f.rt.Bus.AudioStreams(ctx)
		if err != nil && ctx.Err() == nil {
			f.rt.Log.Debug("listing streams failed", "error", err)
		}
		if woken = woken || time.Since(looked) >= endedEvery; woken {
			looked = time.Now()
		}
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		var begun atomic.Int32
		for _, id := range ids {
			if f.waits(ctx, id, woken) && f.want(id) {
				wg.Go(func() { f.follow(ctx, id, &begun) })
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
			woken = true
		case <-time.After(discoverEvery):
			woken = false
		}
	}
}

// waits says whether a stream may have something to do: it has not ended, or has begun a
// new epoch since, which is only asked for when look is set.
func (f *follower) waits(ctx context.Context, id string, look bool) bool {
	f.mu.Lock()
	epoch, ended := f.ended[id]
	f.mu.Unlock()
	if !ended {
		return true
	}
	if !look {
		return false
	}
	last, err := f.rt.Bus.LastFrame(ctx, id)
	if err != nil || last.GetEpoch() <= epoch {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.ended, id)
	return true
}

// want notes a stream, unless it is known already.
func (f *follower) want(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, known := f.known[id]; known {
		return false
	}
	f.known[id] = false
	return true
}

// hold notes whether this process holds a stream's lease.
func (f *follower) hold(id string, yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[id] = yes
	f.show()
}

// leave forgets a stream, because it has ended with an epoch or because this process stops (0).
func (f *follower) leave(id string, epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.known, id)
	if epoch > 0 {
		f.ended[id] = epoch
	}
	f.show()
}

func (f *follower) holding() (ids []string) {
	for id, held := range f.known {
		if held {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (f *follower) show() { f.rt.Health.SetStreams(f.holding()) }

// follow works on a stream, when it is this process's turn, until it ends or ctx does; begun counts those
// that begin together.
func (f *follower) follow(ctx context.Context, id string, begun *atomic.Int32) {
	epoch := f.over(ctx, id)
	defer func() { f.leave(id, epoch) }()
	if epoch > 0 {
		return
	}
	if !f.polite(ctx, int(begun.Add(1))-1) {
		return
	}
	keeper := f.rt.Lease(lease.VAD(id))
	for ctx.Err() == nil && epoch == 0 {
		err := keeper.Do(ctx, func(ctx context.Context, _ lease.Token) error {
			f.hold(id, true)
			defer f.hold(id, false)
			epoch = f.work(ctx, id)
			return nil
		})
		if err != nil && ctx.Err() == nil && !errors.Is(err, lease.ErrLost) {
			f.rt.Log.Warn("taking a stream failed", "stream_id", id, "error", err)
			pause(ctx, time.Second)
		}
	}
}

// polite waits for as long as this process leaves a stream to others, and says whether ctx still goes on; turn is
// how many it begins with before it.
func (f *follower) polite(ctx context.Context, turn int) bool {
	held := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.holding())
	}
	turn += held()
	for begun := time.Now(); ; {
		wait := min(maxPoliteness, time.Duration(max(turn, held()))*politeness) - time.Since(begun)
		if wait <= 0 {
			return ctx.Err() == nil
		}
		if !pause(ctx, wait) {
			return false
		}
	}
}

// over returns the epoch with which a stream has ended and nothing of it is left to do: who has just started
// finds all streams whose audio is still kept. It returns 0 when there is something to do, or nobody knows.
func (f *follower) over(ctx context.Context, id string) (epoch uint64) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cp, _, err := f.rt.Bus.LoadCheckpoint(ctx, id)
	if err != nil || !cp.GetEnded() {
		return 0
	}
	if settled, err := f.rt.Bus.HasResult(ctx, id, cp.GetOrdinal()); err != nil || !settled {
		return 0
	}
	// Last, since it may begin anew at any moment.
	if last, err := f.rt.Bus.LastFrame(ctx, id); err != nil || last.GetEpoch() > cp.GetEpoch() {
		return 0
	}
	return cp.GetEpoch()
}

// work follows a stream until it has ended, and returns the epoch with which it did, or
// until ctx is done, and returns 0; each trouble starts it anew from the checkpoint.
func (f *follower) work(ctx context.Context, id string) (epoch uint64) {
	for ctx.Err() == nil {
		epoch, err := f.once(ctx, id)
		if epoch > 0 && err == nil {
			last, err := f.rt.Bus.LastFrame(ctx, id)
			if err == nil && last.GetEpoch() > epoch {
				continue // it has begun anew meanwhile
			}
			return epoch
		}
		switch {
		case ctx.Err() != nil:
			return 0
		case errors.Is(err, stream.ErrTaken):
			f.rt.Log.Warn("another process holds the stream", "stream_id", id)
			f.rt.Metrics.Errors.WithLabelValues("vad", "taken").Inc()
		case err != nil:
			f.rt.Log.Warn("following a stream failed", "stream_id", id, "error", err)
			f.rt.Metrics.Errors.WithLabelValues("vad", "follow").Inc()
		default: // the connection is a new one
			continue
		}
		pause(ctx, time.Second)
	}
	return 0
}

// pause waits and says whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
