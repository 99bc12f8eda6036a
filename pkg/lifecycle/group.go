package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Part is one piece of a process.
type Part struct {
	Name string
	// Run works until its context is done. Its return, with or without an error,
	// ends the group. Nil for a part that only has to be stopped.
	Run func(ctx context.Context) error
	// Stop is called after Run's context is done and Run has returned, under what is
	// left of the group's time. May be nil.
	Stop func(ctx context.Context) error
}

// Group runs parts together and stops them in reverse order, the last one first.
type Group struct {
	// Timeout bounds the whole stop.
	Timeout time.Duration
	parts   []Part
}

// Add appends a part; what it depends on must have been added before it.
func (g *Group) Add(p Part) { g.parts = append(g.parts, p) }

type running struct {
	part   Part
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Run starts all parts and returns when all have stopped: with the first part's error,
// or nil when ctx ended it. A part that does not stop in time is named in the error.
func (g *Group) Run(ctx context.Context) error {
	var (
		all   = make([]*running, len(g.parts))
		first = make(chan *running, len(g.parts))
		wg    sync.WaitGroup
	)
	for i, p := range g.parts {
		// Each part has a context of its own so that they can be stopped one after another.
		partCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{part: p, cancel: cancel, done: make(chan struct{})}
		all[i] = r
		if p.Run == nil {
			close(r.done)
			continue
		}
		wg.Go(func() {
			r.err = p.Run(partCtx)
			close(r.done)
			first <- r
		})
	}
	var cause error
	select {
	case <-ctx.Done():
	case r := <-first:
		if r.err != nil && !errors.Is(r.err, context.Canceled) {
			cause = fmt.Errorf("%s: %w", r.part.Name, r.err)
		}
	}
	timeout := g.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	errs := []error{cause}
	for i := len(all) - 1; i >= 0; i-- {
		errs = append(errs, all[i].stop(stopCtx))
	}
	return errors.Join(errs...)
}

func (r *running) stop(ctx context.Context) error {
	r.cancel()
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("%s did not stop in time", r.part.Name)
	}
	if r.part.Stop == nil {
		return nil
	}
	if err := r.part.Stop(ctx); err != nil {
		return fmt.Errorf("stopping %s: %w", r.part.Name, err)
	}
	return nil
}
