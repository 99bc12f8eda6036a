package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// stream returns a handle of a stream, asking the server for it only once: what is read
// and written through it goes by the stream's name. Its CachedInfo is of the first time.
func (b *Bus) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s, ok := b.streams.Load(name); ok {
		return s.(jetstream.Stream), nil
	}
	s, err := b.js.Stream(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	b.streams.Store(name, s)
	return s, nil
}

// answerWait is how long who leads a stream may take to say so.
const answerWait = time.Second

// Answers says whether a stream can be written: a cluster that has no leader for it serves
// what is stored, and takes nothing.
func (b *Bus) Answers(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	_, err := b.js.Stream(ctx, name)
	return err == nil
}

// bucket returns a handle of a bucket, asking the server for it only once.
func (b *Bus) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	if kv, ok := b.buckets.Load(name); ok {
		return kv.(jetstream.KeyValue), nil
	}
	kv, err := b.js.KeyValue(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", name, err)
	}
	b.buckets.Store(name, kv)
	return kv, nil
}
