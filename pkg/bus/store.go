package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// KindStore is the kind of event that says that nothing is stored (an error), or that it is
// again.
const KindStore = "store"

// storeGrace is how long no write may succeed before something must be wrong with the
// server's store: a few time-outs.
const storeGrace = 10 * time.Second

// StoreRemind is how often it is said again that nothing is stored.
const StoreRemind = 30 * time.Second

// storeTried is how old the last failure may be: who writes tries again and again, and who
// has nothing to write any more knows nothing.
const storeTried = 20 * time.Second

// watched is JetStream, and remembers how writes fare: a server whose disk is full still
// answers everything else, and a health check that asks nothing would call all well. After a
// full disk some of its streams may store again and others not, so each is looked at alone.
type watched struct {
	jetstream.JetStream
	mu      sync.Mutex
	failing map[string]failure // by kind of subject
}

// failure is of all writes of a kind since one that was stored.
type failure struct {
	since, last time.Time
	err         error
}

// PublishMsg implements [jetstream.Publisher].
func (w *watched) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ack, err := w.JetStream.PublishMsg(ctx, msg, opts...)
	if atLimit(err) {
		err = fmt.Errorf("%w: %s: %w", ErrFull, msg.Subject, err)
		if jobSubject(msg.Subject) {
			w.note(msg.Subject, nil) // the publisher holds back, and says so
			return ack, err
		}
	}
	w.note(msg.Subject, err)
	return ack, err
}

// atLimit says whether a stream that refuses what is new has no room, while the server
// stores what goes elsewhere.
func atLimit(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == errStoreFailed && strings.HasPrefix(api.Description, "maximum ")
}

func jobSubject(subject string) bool {
	return strings.HasPrefix(subject, prefix+"job.final.") || strings.HasPrefix(subject, prefix+"job.ready.")
}

func (w *watched) note(subject string, err error) {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.Code < 500 || conflict(err) {
		err = nil // the server has looked at it, and said no
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(subject, prefix), ".")
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		delete(w.failing, kind)
	case errors.Is(err, context.Canceled), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrReconnectBufExceeded):
		// The connection, which is watched by itself.
	default:
		f := w.failing[kind]
		if f.since.IsZero() || time.Since(f.last) > storeTried {
			f.since = time.Now()
		}
		f.last, f.err = time.Now(), err
		if w.failing == nil {
			w.failing = map[string]failure{}
		}
		w.failing[kind] = f
	}
}

// failed is why writes of some kind are not stored, again and again. A full stream is told
// only if nothing worse is wrong.
func (w *watched) failed() (worst error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.failing {
		if f.last.Sub(f.since) < storeGrace || time.Since(f.last) >= storeTried {
			continue
		}
		if worst = f.err; !errors.Is(worst, ErrFull) {
			return worst
		}
	}
	return worst
}

// NoteWrite says what became of a write that went another way than through PublishMsg.
func (b *Bus) NoteWrite(subject string, err error) {
	if w, ok := b.js.(*watched); ok {
		w.note(subject, err)
	}
}

// WatchStore reports why the server stores nothing, again and again while that is so, and
// "" when it stores again, until ctx ends. What is seen are this process's own writes.
func (b *Bus) WatchStore(ctx context.Context, report func(reason string)) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	told, at := false, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		w, ok := b.js.(*watched)
		if !ok {
			continue
		}
		err := w.failed()
		if (err != nil) == told && (!told || time.Since(at) < StoreRemind) {
			continue
		}
		told, at = err != nil, time.Now()
		if !told {
			report("")
			continue
		}
		if errors.Is(err, ErrFull) {
			report(fmt.Sprintf("%v: it goes on when there is room; find out why nothing is taken from there, or raise streams.*.max_mb", err))
			continue
		}
		// A write that is not answered does not say why; making something else does.
		if cause := b.create(ctx); cause != nil {
			err = cause
		}
		what := "the server stores nothing"
		if strings.Contains(err.Error(), "no space left") {
			what = "the server's disk is full"
		}
		report(fmt.Sprintf("%s (%v): free space there, then restart the server: after a full disk it stores nothing until then", what, err))
	}
}

// create makes the server write a file, and remove it.
func (b *Bus) create(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	const bucket = "KV_" + BucketLeases
	c, err := b.js.CreateConsumer(ctx, bucket, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverNewPolicy, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: 10 * time.Second,
	})
	if err != nil {
		return err
	}
	return b.js.DeleteConsumer(ctx, bucket, c.CachedInfo().Name)
}
