package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// epochKey is where the newest epoch that was given out is kept, in BucketCheckpoints. No
// stream id has a dot.
func epochKey(stream string) string { return "epoch." + stream }

// NewestEpoch returns the highest epoch of a stream that was given out or stored; 0 without any.
func (b *Bus) NewestEpoch(ctx context.Context, stream string) (uint64, error) {
	newest, _, err := b.newestEpoch(ctx, stream)
	return newest, err
}

// newestEpoch is NewestEpoch with the revision of the counter.
func (b *Bus) newestEpoch(ctx context.Context, stream string) (newest, revision uint64, err error) {
	if newest, err = b.KnownEpoch(ctx, stream); err != nil {
		return 0, 0, err
	}
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return 0, 0, err
	}
	e, err := kv.Get(ctx, epochKey(stream))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return newest, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading the newest epoch of %s: %w", stream, err)
	}
	given := &rtapv1.Checkpoint{}
	if err := proto.Unmarshal(e.Value(), given); err != nil {
		return 0, 0, fmt.Errorf("decoding the newest epoch of %s: %w", stream, err)
	}
	return max(newest, given.GetEpoch()), e.Revision(), nil
}

// NewEpoch gives out an epoch of a stream: higher than any before, and to nobody else. It is
// recorded before its first frame, because the server may lose acknowledged frames, and with
// a young epoch's only ones the epoch itself.
func (b *Bus) NewEpoch(ctx context.Context, stream string) (uint64, error) {
	newest, revision, err := b.newestEpoch(ctx, stream)
	if err != nil {
		return 0, err
	}
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return 0, err
	}
	next := &rtapv1.Checkpoint{StreamId: stream, Epoch: 1 + newest}
	data, err := proto.Marshal(next)
	if err != nil {
		return 0, fmt.Errorf("encoding an epoch: %w", err)
	}
	_, err = kv.Update(ctx, epochKey(stream), data, revision)
	if conflict(err) || errors.Is(err, jetstream.ErrKeyExists) {
		return 0, fmt.Errorf("a new epoch of %s: %w", stream, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("recording an epoch of %s: %w", stream, err)
	}
	return next.GetEpoch(), nil
}
