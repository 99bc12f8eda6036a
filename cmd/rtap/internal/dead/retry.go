package dead

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// clockSkew is how far a worker's clock may be from the server's.
const clockSkew = time.Hour

// retrier tries letters again, one after the other, and hears what the workers say of it.
type retrier struct {
	bus    *bus.Bus
	env    lifecycle.Env
	wait   time.Duration
	events chan *rtapv1.ServiceEvent
}

func retry(ctx context.Context, b *bus.Bus, env lifecycle.Env, numbers []uint64, o options) error {
	if o.all {
		err := b.DeadLetters(ctx, func(l bus.DeadLetter) error { numbers = append(numbers, l.Number); return nil })
		if err != nil {
			return err
		}
		if len(numbers) == 0 {
			fmt.Fprintln(env.Stdout, "no segment was given up")
			return nil
		}
	}
	r := &retrier{bus: b, env: env, wait: o.wait, events: make(chan *rtapv1.ServiceEvent, 64)}
	stop, err := b.Subscribe(bus.Event("stt", bus.KindRetry), func(m *nats.Msg) {
		e := &rtapv1.ServiceEvent{}
		if wire.UnmarshalJSON(m.Data, e) != nil {
			return
		}
		select {
		case r.events <- e:
		default: // the letter itself tells as well
		}
	})
	if err != nil {
		return fmt.Errorf("listening for the workers: %w", err)
	}
	defer stop()
	failed := 0
	for _, n := range numbers {
		outcome, err := r.one(ctx, n)
		if errors.Is(err, bus.ErrNoLetter) && !o.all {
			return gone(err)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failed++
			outcome = err.Error()
		}
		fmt.Fprintf(env.Stdout, "%d: %s\n", n, outcome)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d dead letters have no text; they stay in RTAP_DEAD", failed, len(numbers))
	}
	return nil
}

// one tries a letter again and says what became of it.
func (r *retrier) one(ctx context.Context, number uint64) (outcome string, err error) {
	l, err := r.bus.DeadLetter(ctx, number)
	if err != nil {
		return "", err
	}
	job := l.GetJob()
	if job.GetOrdinal() == 0 || job.GetSegmentId() == "" {
		return "", errors.New("a job that could not be read: another version of rtap-stt wrote it, or something else did; look at it with `rtap dead show`")
	}
	if done, err := r.settled(ctx, l); err != nil || done {
		return "it had its text already; the letter is removed", err
	}
	if err := r.bus.RetryDead(ctx, l); err != nil {
		return "", err
	}
	return r.await(ctx, l)
}

// settled removes a letter whose ordinal has a text after all: a worker that had been taken
// for dead may have stored one before the job was given up.
func (r *retrier) settled(ctx context.Context, l bus.DeadLetter) (bool, error) {
	stream, ordinal := l.GetJob().GetStreamId(), l.GetJob().GetOrdinal()
	stands, err := r.bus.Result(ctx, stream, ordinal)
	if err != nil {
		return false, err
	}
	done := stands != nil && stands.GetKind() != rtapv1.Result_KIND_DEAD
	if stands == nil { // released, and removed
		var since time.Time
		if at := l.GetJob().GetClosedAt().GetCapturedAt(); at.IsValid() {
			since = at.AsTime().Add(-clockSkew)
		}
		if done, err = r.bus.HasFinal(ctx, stream, ordinal, since); err != nil {
			return false, err
		}
	}
	if !done {
		return false, nil
	}
	return true, r.bus.ForgetDead(ctx, l.Number, stream, l.GetJob().GetSegmentId())
}

func (r *retrier) await(ctx context.Context, l bus.DeadLetter) (outcome string, err error) {
	timeout := time.NewTimer(r.wait)
	defer timeout.Stop()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-timeout.C:
			return "", fmt.Errorf("no worker has done it within %s: it stays in the queue; are there any (`rtap top`)?", r.wait)
		case e := <-r.events:
			if e.GetStreamId() != l.GetJob().GetStreamId() || e.GetAttributes()["segment_id"] != l.GetJob().GetSegmentId() {
				continue
			}
			switch e.GetAttributes()[bus.RetryOutcome] {
			case bus.RetryStored:
				return "transcribed; its text comes as a late final", nil
			case bus.RetryEmpty:
				return "transcribed: nothing is said in it (" + e.GetAttributes()["reason"] + ")", nil
			default:
				return "", fmt.Errorf("failed again: %s", e.GetAttributes()["reason"])
			}
		case <-look.C:
			// The event may have been lost; the letter goes only when all is stored.
			if _, err := r.bus.DeadLetter(ctx, l.Number); errors.Is(err, bus.ErrNoLetter) {
				return "transcribed", nil
			}
		}
	}
}
