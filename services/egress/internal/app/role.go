package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

const (
	// stayBack is how long a gateway that gave its role up leaves it to others.
	stayBack = 2 * time.Second
	// lookAt is how often it looks whether somebody has it, and whether the bus is there.
	lookAt = 100 * time.Millisecond
)

// errGivenUp ends a term because an operator asked for it.
var errGivenUp = errors.New("the role is given up")

// role takes turns with the other gateways at being the active one, which gives finals
// their numbers and removes old ones. Serving subscribers needs no role.
type role struct {
	rt   *service.Runtime
	hub  *feed.Hub
	turn *lease.Keeper

	mu   sync.Mutex
	term *term // nil while standby
}

type term struct {
	cancel context.CancelCauseFunc
	over   chan struct{} // closed when the lease is released
}

func newRole(rt *service.Runtime, hub *feed.Hub) *role {
	return &role{rt: rt, hub: hub, turn: rt.Lease(lease.Gateway)}
}

// run begins when no final can be missed any more.
func (r *role) run(ctx context.Context) error {
	if err := r.rt.Bus.Await(ctx); err != nil {
		return err
	}
	select {
	case <-r.hub.Ready():
	case <-ctx.Done():
		return ctx.Err()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { r.show(ctx) })
	for {
		err := r.serve(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errGivenUp):
			r.leaveIt(ctx)
		case !errors.Is(err, lease.ErrLost):
			return fmt.Errorf("being the active gateway: %w", err)
		}
	}
}

// serve waits for the role and has it until it is lost or given up.
func (r *role) serve(ctx context.Context) error {
	t := &term{over: make(chan struct{})}
	defer close(t.over)
	return r.turn.Do(ctx, func(ctx context.Context, _ lease.Token) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		t.cancel = cancel
		r.set(t)
		defer r.set(nil)
		var wg sync.WaitGroup
		for _, work := range []func(context.Context) error{
			feed.NewSequencer(r.rt).Run,
			func(ctx context.Context) error { return feed.KeepRetention(ctx, r.rt) },
		} {
			wg.Go(func() {
				if err := work(ctx); err != nil && ctx.Err() == nil {
					cancel(err)
				}
			})
		}
		wg.Wait()
		r.rt.Metrics.QueueDepth.WithLabelValues("unreleased_results").Set(0)
		return context.Cause(ctx)
	})
}

func (r *role) set(t *term) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.term = t
}

// show keeps the process's state up to date.
func (r *role) show(ctx context.Context) {
	tick := time.NewTicker(lookAt)
	defer tick.Stop()
	for {
		changed := r.turn.Changed()
		state := obs.StateStandby
		if _, held := r.turn.Held(); held {
			state = obs.StateActive
		}
		if r.rt.Bus.Problem() != "" {
			state = obs.StateDegraded // whoever is active now, this one can serve nothing new
		}
		r.rt.Health.SetState(state)
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
		}
	}
}

// leaveIt waits until another gateway has the role, or has had the time to take it.
func (r *role) leaveIt(ctx context.Context) {
	tick := time.NewTicker(lookAt)
	defer tick.Stop()
	for end := time.Now().Add(stayBack); time.Now().Before(end); {
		if _, _, err := r.rt.Bus.Leases().Get(ctx, lease.Gateway); err == nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	r.rt.Log.Warn("no other gateway has taken the active role, taking it again")
}

// failover answers an operator who wants another gateway to be the active one, as soon as
// the role is free.
func (r *role) failover(ctx context.Context, _ url.Values) ([]byte, error) {
	r.mu.Lock()
	t := r.term
	r.mu.Unlock()
	if _, held := r.turn.Held(); t == nil || !held {
		return nil, fmt.Errorf("%s is not the active gateway", r.rt.Instance)
	}
	t.cancel(errGivenUp)
	select {
	case <-t.over:
		return []byte(r.rt.Instance), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
