package bus

import (
	"context"
	"fmt"
	"math"
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

// Led says for how long a stream can be written by now; ok is false when it cannot: a cluster
// that has no leader for it serves what is stored, and takes nothing. A server that stands
// alone has been there for ever.
func (b *Bus) Led(ctx context.Context, name string) (since time.Duration, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	s, err := b.js.Stream(ctx, name)
	if err != nil {
		return 0, false
	}
	info := s.CachedInfo()
	if info.Cluster == nil || info.Cluster.LeaderSince == nil {
		return math.MaxInt64, true
	}
	return info.TimeStamp.Sub(*info.Cluster.LeaderSince), true
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
