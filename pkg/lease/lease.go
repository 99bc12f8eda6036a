// Package lease decides which of several processes does what only one may do: capture a
// source, segment a stream, be the active gateway.
//
// A lease is a key of a bucket whose entries expire. Its holder renews it; who waits takes
// it when it is gone. What a lease promises is small: the holder is told, by its own
// monotonic clock, before anybody else can have taken it. It cannot promise that a holder
// that was stopped in the middle of a write, and woke late, does not finish it. What must
// not be written twice is guarded by compare-and-set at the server, not by a lease.
package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Times of every lease.
const (
	// TTL is how long the server keeps a lease that is not renewed; the bucket has it.
	TTL = time.Second
	// RenewEvery is how often a holder renews.
	RenewEvery = 250 * time.Millisecond
	// Margin is how much sooner than the server a holder gives a lease up.
	Margin = 250 * time.Millisecond
	// PollEvery is how often who waits looks, since an expiry tells nobody.
	PollEvery = 100 * time.Millisecond
)

// Gateway is the key for who is the active gateway.
const Gateway = "gateway"

// Capture is the key for who captures a stream.
func Capture(stream string) string { return "capture." + stream }

// VAD is the key for who segments a stream.
func VAD(stream string) string { return "vad." + stream }

var (
	// ErrTaken is what a [Store] gives when the key is another's, or has changed.
	ErrTaken = errors.New("the lease is another's")
	// ErrFree is what a [Store] gives when nobody holds the key.
	ErrFree = errors.New("nobody holds the lease")
	// ErrLost is the cause with which a term's context ends when the lease is lost.
	ErrLost = errors.New("the lease was lost")
)

// Store is where leases live; [github.com/rtap/rtap/pkg/bus.Leases] is the one on NATS.
// Each call must end when its context does.
type Store interface {
	// Create writes a key that nobody holds, else ErrTaken.
	Create(ctx context.Context, key string, value []byte) (revision uint64, err error)
	// Update writes a key whose revision is still last, else ErrTaken.
	Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error)
	// Delete removes a key whose revision is still last, else ErrTaken.
	Delete(ctx context.Context, key string, last uint64) error
	// Get reads a key; ErrFree without one.
	Get(ctx context.Context, key string) (value []byte, revision uint64, err error)
	// Made is when the bucket was made: revisions of another bucket mean nothing.
	Made(ctx context.Context) (time.Time, error)
	// Watch calls changed after each renewal and release of a key that it hears of, until
	// stop is called. It may miss some: it only saves time.
	Watch(key string, changed func(released bool)) (stop func(), err error)
}

// Token names one term of holding a lease. It stays the same over renewals. Between
// terms on the same bucket the later one has the higher revision, unless the server lost
// what it held in memory: a token is for people and logs, and guards no data.
type Token struct {
	Bucket   time.Time // when the bucket was made
	Revision uint64    // of the write that took the lease
}

// String is short enough for a log.
func (t Token) String() string { return fmt.Sprintf("%x/%d", t.Bucket.UnixMilli(), t.Revision) }

// Claim says who wants a lease.
type Claim struct {
	Key, Holder, Service string
	Attributes           map[string]string
}

// What happens to a lease.
const (
	Taken    = "taken"
	Lost     = "lost"
	Released = "released"
)

// Change is something that happened to a lease that this process wanted.
type Change struct {
	Key    string
	What   string // Taken, Lost or Released
	Token  Token
	Reason string // why it was lost
}

// Keeper takes a lease and keeps it. One goroutine calls Do or Keep at a time; the other
// methods are safe for concurrent use.
type Keeper struct {
	store  Store
	claim  Claim
	log    *slog.Logger
	notify func(Change)
	now    state
	value  []byte // what was last tried to write

	standing standing
}

// New makes a keeper; notify is told of every change, before the work of a term begins and
// after it has ended, and may be nil.
func New(store Store, claim Claim, log *slog.Logger, notify func(Change)) *Keeper {
	if notify == nil {
		notify = func(Change) {}
	}
	k := &Keeper{store: store, claim: claim, log: log.With("lease", claim.Key), notify: notify}
	k.now.changed = make(chan struct{})
	return k
}

// Do waits until the lease is free, takes it and runs do while it is held. The context of
// do ends, with the cause ErrLost, when the lease is lost; Do then waits for do to return
// and gives ErrLost. Otherwise it releases the lease and returns what do returned.
func (k *Keeper) Do(ctx context.Context, do func(ctx context.Context, t Token) error) error {
	t, err := k.take(ctx)
	if err != nil {
		return err
	}
	return k.term(ctx, t, do)
}

// Keep is Do again and again: after each loss it takes the lease again, until do returns
// by itself or ctx is done.
func (k *Keeper) Keep(ctx context.Context, do func(ctx context.Context, t Token) error) error {
	for {
		if err := k.Do(ctx, do); !errors.Is(err, ErrLost) || ctx.Err() != nil {
			return err
		}
	}
}

// Wait is a do for who only asks Held: it returns when ctx is done.
func Wait(ctx context.Context, _ Token) error {
	<-ctx.Done()
	return ctx.Err()
}

// Held says whether the lease is held at this moment, by the clock of this process: false
// also for a process that was stopped and has just woken.
func (k *Keeper) Held() (Token, bool) { return k.now.held() }

// Others says whether another process held the lease when that was last known: false from
// when this process takes it, and until it learns of another holder. In an outage of the bus
// it stays what it was.
func (k *Keeper) Others() bool { return k.now.isOthers() }

// Changed returns a channel that is closed when the lease is next taken, lost or
// released; take a new one afterwards.
func (k *Keeper) Changed() <-chan struct{} { return k.now.next() }

// encode makes the value of a new attempt. Its time sets it apart from every other.
func (k *Keeper) encode() error {
	v, err := proto.Marshal(&rtapv1.Lease{
		Holder: k.claim.Holder, Service: k.claim.Service, TakenAt: timestamppb.Now(), Attributes: k.claim.Attributes,
	})
	if err != nil {
		return fmt.Errorf("encoding the lease %s: %w", k.claim.Key, err)
	}
	k.value = v
	return nil
}

// ours says whether a stored value is what this keeper last tried to write.
func (k *Keeper) ours(value []byte) bool { return len(value) > 0 && bytes.Equal(value, k.value) }

// seen notes whose a stored value is that is not what this keeper last tried to write: it
// may still have been written by it.
func (k *Keeper) seen(value []byte) {
	if h, err := Decode(k.claim.Key, value, 0); err == nil && h.GetHolder() != k.claim.Holder {
		k.now.seen()
	}
}

// Held is a lease as it is stored.
type Held struct {
	Key      string
	Revision uint64
	*rtapv1.Lease
}

// Decode reads a stored lease.
func Decode(key string, value []byte, revision uint64) (Held, error) {
	l := &rtapv1.Lease{}
	if err := proto.Unmarshal(value, l); err != nil {
		return Held{}, fmt.Errorf("reading the lease %s: %w", key, err)
	}
	return Held{key, revision, l}, nil
}
