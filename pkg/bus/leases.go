package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/lease"
)

// Leases are kept in KV rtap_leases.
type Leases struct{ b *Bus }

var _ lease.Store = Leases{}

// Leases is where this bus's leases live.
func (b *Bus) Leases() Leases { return Leases{b} }

// LeasesOver is where leases live for who has only a connection.
func LeasesOver(conn *nats.Conn) (Leases, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return Leases{}, fmt.Errorf("using jetstream: %w", err)
	}
	return Leases{&Bus{conn: conn, js: js, core: connCore{conn}}}, nil
}

// Holder says who holds a key; lease.ErrFree when nobody does.
func (l Leases) Holder(ctx context.Context, key string) (lease.Held, error) {
	value, revision, err := l.Get(ctx, key)
	if err != nil {
		return lease.Held{}, err
	}
	return lease.Decode(key, value, revision)
}

// Create writes a key that nobody holds.
func (l Leases) Create(ctx context.Context, key string, value []byte) (uint64, error) {
	kv, err := l.b.bucket(ctx, BucketLeases)
	if err != nil {
		return 0, err
	}
	revision, err := kv.Create(ctx, key, value)
	return revision, taken(err)
}

// Update writes a key whose revision is still last.
func (l Leases) Update(ctx context.Context, key string, value []byte, last uint64) (uint64, error) {
	kv, err := l.b.bucket(ctx, BucketLeases)
	if err != nil {
		return 0, err
	}
	revision, err := kv.Update(ctx, key, value, last)
	return revision, taken(err)
}

// Delete removes a key whose revision is still last.
func (l Leases) Delete(ctx context.Context, key string, last uint64) error {
	kv, err := l.b.bucket(ctx, BucketLeases)
	if err != nil {
		return err
	}
	return taken(kv.Delete(ctx, key, jetstream.LastRevision(last)))
}

// Get reads a key.
func (l Leases) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	kv, err := l.b.bucket(ctx, BucketLeases)
	if err != nil {
		return nil, 0, err
	}
	e, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, lease.ErrFree
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the lease %s: %w", key, err)
	}
	return e.Value(), e.Revision(), nil
}

// Made is when the bucket was made.
func (l Leases) Made(ctx context.Context) (time.Time, error) {
	s, err := l.b.js.Stream(ctx, "KV_"+BucketLeases)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the bucket of leases: %w", err)
	}
	return s.CachedInfo().Created, nil
}

// Watch hears the writes themselves, which needs no consumer at the server and outlives a
// lost connection. What is heard may yet be refused, or not be stored yet.
func (l Leases) Watch(key string, changed func(released bool)) (stop func(), err error) {
	return l.b.core.Subscribe("$KV."+BucketLeases+"."+key, func(m *nats.Msg) {
		if operation := m.Header.Get("KV-Operation"); operation != "" {
			changed(true)
		} else if m.Header.Get(jetstream.ExpectedLastSubjSeqHeader) != "0" { // else somebody tries to take it
			changed(false)
		}
	})
}

// All lists who holds what, by key.
func (l Leases) All(ctx context.Context) ([]lease.Held, error) {
	kv, err := l.b.bucket(ctx, BucketLeases)
	if err != nil {
		return nil, err
	}
	w, err := kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	defer stopWatch(w)
	var all []lease.Held
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("listing leases: %w", ctx.Err())
		case e, ok := <-w.Updates():
			if !ok {
				return nil, errors.New("listing leases: the watch ended")
			}
			if e == nil {
				slices.SortFunc(all, func(a, b lease.Held) int { return strings.Compare(a.Key, b.Key) })
				return all, nil
			}
			held, err := lease.Decode(e.Key(), e.Value(), e.Revision())
			if err != nil {
				return nil, err
			}
			all = append(all, held)
		}
	}
}

// taken turns the server's refusal of a condition into lease.ErrTaken.
func taken(err error) error {
	switch {
	case err == nil:
		return nil
	case conflict(err), errors.Is(err, jetstream.ErrKeyExists), errors.Is(err, jetstream.ErrKeyRevisionMismatch):
		return lease.ErrTaken
	default:
		return fmt.Errorf("writing a lease: %w", err)
	}
}
