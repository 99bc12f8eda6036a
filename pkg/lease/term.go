package lease

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/failpoint"
)

// retryEvery is the pause after a renewal that failed.
const retryEvery = 50 * time.Millisecond

// term runs do while the lease is held.
func (k *Keeper) term(ctx context.Context, t Token, do func(context.Context, Token) error) error {
	during, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k.log.Info("lease taken", "token", t.String(), "holder", k.claim.Holder)
	k.notify(Change{Key: k.claim.Key, What: Taken, Token: t})
	var wg sync.WaitGroup
	last := t.Revision
	renewing, stop := context.WithCancel(during)
	wg.Go(func() { last = k.renew(renewing, last, cancel) })
	// The clock alone ends a term, whatever a request is waiting for.
	wg.Go(func() { k.expire(renewing, cancel) })
	failpoint.At("lease/taken")
	err := do(during, t)
	stop()
	wg.Wait()
	k.now.end()
	if why := context.Cause(during); errors.Is(why, ErrLost) {
		k.log.Warn("lease lost", "token", t.String(), "reason", why.Error())
		k.notify(Change{Key: k.claim.Key, What: Lost, Token: t, Reason: why.Error()})
		return why
	}
	failpoint.At("lease/releasing")
	k.release(ctx, last)
	k.log.Info("lease released", "token", t.String())
	k.notify(Change{Key: k.claim.Key, What: Released, Token: t})
	return err
}

// expire ends the term when it was not renewed in time.
func (k *Keeper) expire(ctx context.Context, lost context.CancelCauseFunc) {
	for {
		left := k.now.left()
		if left <= 0 {
			k.now.end()
			lost(fmt.Errorf("%w: it could not be renewed for %v", ErrLost, TTL-Margin))
			return
		}
		if !sleep(ctx, left) {
			return
		}
	}
}

// renew renews until ctx is done or the lease is another's, and returns the revision that
// it wrote last.
func (k *Keeper) renew(ctx context.Context, last uint64, lost context.CancelCauseFunc) uint64 {
	pause, doubt := RenewEvery, false
	for sleep(ctx, pause) {
		sent := time.Now()
		next, err := k.once(ctx, last, doubt)
		switch {
		case err == nil:
			last, doubt, pause = next, false, RenewEvery-min(time.Since(sent), RenewEvery-retryEvery)
			if !k.now.renew(sent) {
				return last // expire says so
			}
		case ctx.Err() != nil:
		case errors.Is(err, ErrTaken) && !doubt:
			// Perhaps it is our own write whose answer was lost.
			doubt, pause = true, 0
		case errors.Is(err, ErrTaken), errors.Is(err, ErrFree):
			k.now.end()
			lost(fmt.Errorf("%w: %w", ErrLost, err))
			return last
		default:
			doubt, pause = true, retryEvery
			k.log.Debug("renewing a lease failed", "error", err)
		}
	}
	return last
}

// once renews. In doubt it looks first whether what stands there is still ours.
func (k *Keeper) once(ctx context.Context, last uint64, doubt bool) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if doubt {
		value, revision, err := k.store.Get(ctx, k.claim.Key)
		if err != nil {
			return 0, err
		}
		if !k.ours(value) {
			k.seen(value)
			return 0, ErrTaken
		}
		last = revision
	}
	return k.store.Update(ctx, k.claim.Key, k.value, last)
}

// release lets others have the lease at once; what cannot be deleted expires.
func (k *Keeper) release(ctx context.Context, last uint64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	err := k.store.Delete(ctx, k.claim.Key, last)
	if errors.Is(err, ErrTaken) {
		// A renewal was under way when its context ended: it may have been stored.
		if value, revision, get := k.store.Get(ctx, k.claim.Key); get == nil && k.ours(value) {
			err = k.store.Delete(ctx, k.claim.Key, revision)
		}
	}
	if err != nil && !errors.Is(err, ErrTaken) {
		k.log.Debug("releasing a lease failed, it expires", "error", err)
	}
}

// sleep waits and says whether ctx still goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
