package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Exclusive runs do while no other process runs one under the same key: it waits for its
// turn and keeps it until do returns. It is a courtesy, not a promise: a process that
// loses the server for longer than the bucket's TTL keeps running do.
func (b *Bus) Exclusive(ctx context.Context, key, holder string, do func(context.Context) error) error {
	kv, err := b.js.KeyValue(ctx, BucketLeases)
	if err != nil {
		return fmt.Errorf("opening the leases: %w", err)
	}
	var revision uint64
	for {
		revision, err = kv.Create(ctx, key, []byte(holder))
		if err == nil {
			break
		}
		if !errors.Is(err, jetstream.ErrKeyExists) && !conflict(err) {
			return fmt.Errorf("taking the lease %s: %w", key, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	renewing, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-renewing.Done():
				return
			case <-tick.C:
				if next, err := kv.Update(renewing, key, []byte(holder), revision); err == nil {
					revision = next
				}
			}
		}
	}()
	err = do(ctx)
	stop()
	<-done
	// What is not deleted expires.
	_ = kv.Delete(context.WithoutCancel(ctx), key, jetstream.LastRevision(revision))
	return err
}
