package lease

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// patience is how long who waits believes that a lease is held after it has heard of a
// renewal: no longer than until the second of the following ones is overdue.
const patience = 2*RenewEvery + PollEvery

// eager is how often who waits looks after it has heard of a release that is not done yet.
const (
	eagerEvery = 10 * time.Millisecond
	eagerTries = 20
)

// overdue is how long who waits sees a lease that nobody renews before it takes it from a server that does
// not let it go. Servers let go by their wall clock: where that was set back, a lease whose holder has just
// died stands for as long as the step was, and all that were written after it with it.
const overdue = TTL + 2*Margin

// away is how long after its last look somebody cannot tell whether a lease was renewed meanwhile.
const away = 3 * TTL

// timeout bounds one request, so that a server that has gone is noticed.
const timeout = RenewEvery

// watch is what was heard of a key since the last look.
type watch struct {
	renewed, released chan struct{}
	stop              func()
}

func (k *Keeper) watch() watch {
	w := watch{renewed: make(chan struct{}, 1), released: make(chan struct{}, 1), stop: func() {}}
	stop, err := k.store.Watch(k.claim.Key, func(released bool) {
		c := w.renewed
		if released {
			c = w.released
		}
		select {
		case c <- struct{}{}:
		default:
		}
	})
	if err != nil {
		k.log.Debug("watching a lease failed, polling does", "error", err)
		return w
	}
	w.stop = stop
	return w
}

// take waits until the lease is this process's.
func (k *Keeper) take(ctx context.Context) (Token, error) {
	w := k.watch()
	defer w.stop()
	failures, eager := 0, 0
	for {
		t, err := k.try(ctx)
		if err == nil {
			return t, nil
		}
		if ctx.Err() != nil {
			return Token{}, ctx.Err()
		}
		taken := errors.Is(err, ErrTaken)
		if taken {
			failures = 0
		} else {
			if failures%100 == 0 {
				k.log.Warn("taking a lease failed, trying again", "error", err)
			}
			failures++
		}
		if eager, err = w.wait(ctx, eager, taken); err != nil {
			return Token{}, err
		}
	}
}

// wait returns when it is time to look again; eager counts down quick looks. A renewal says
// that there is time, once the last look has shown whose the lease is.
func (w watch) wait(ctx context.Context, eager int, taken bool) (int, error) {
	every := PollEvery
	if eager > 0 {
		every = eagerEvery
		eager--
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-timer.C:
			return eager, nil
		case <-w.released:
			return eagerTries, nil
		case <-w.renewed:
			if !taken {
				return 0, nil
			}
			eager = 0
			timer.Reset(patience)
		}
	}
}

// try takes the lease if it is free or nobody renews it, or if what stands there is this keeper's own: of a
// write whose answer was lost, or of a term that it had to give up.
func (k *Keeper) try(ctx context.Context) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	value, last, err := k.store.Get(ctx, k.claim.Key)
	if err != nil && !errors.Is(err, ErrFree) {
		return Token{}, err
	}
	stands := err == nil
	others := stands && !k.ours(value)
	if others {
		k.seen(value)
		if !k.standing.overdue(value, last) {
			return Token{}, ErrTaken
		}
	}
	if err := k.encode(); err != nil {
		return Token{}, err
	}
	sent, revision := time.Now(), uint64(0)
	if stands {
		revision, err = k.store.Update(ctx, k.claim.Key, k.value, last)
	} else {
		revision, err = k.store.Create(ctx, k.claim.Key, k.value)
	}
	if err != nil {
		return Token{}, err
	}
	if others {
		k.log.Warn("the server kept a lease that nobody renewed, perhaps because its clock was set back; it is taken")
	}
	made, err := k.store.Made(ctx)
	if err != nil {
		return Token{}, err
	}
	t := Token{made, revision}
	k.now.begin(t, sent)
	return t, nil
}

// Renewal tells a lease that somebody renews from one that only stands there, for who looks at it every now and then.
// The zero value has seen nothing. For one goroutine.
type Renewal struct {
	standing standing
	looked   time.Time
}

// Goes says whether somebody renews what was found at a key just now, as far as can be told. Who was away
// itself, or could not look, begins anew.
func (r *Renewal) Goes(value []byte, revision uint64) bool {
	if time.Since(r.looked) > away {
		r.standing = standing{}
	}
	r.looked = time.Now()
	return !r.standing.overdue(value, revision)
}

// standing is another's lease as it was last seen, and since when it has been that.
type standing struct {
	value    []byte
	revision uint64
	since    time.Time
}

// overdue notes what stands there and says whether it has for too long: its holder gave up [TTL] - [Margin]
// after it sent that, which was before it was first seen here.
func (s *standing) overdue(value []byte, revision uint64) bool {
	if s.revision != revision || !bytes.Equal(s.value, value) {
		*s = standing{value, revision, time.Now()}
	}
	return time.Since(s.since) >= overdue
}
