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

// NewEpoch gives out an epoch of a stream: higher than any before, and to nobody else. It is
// recorded before its first frame, because the server may lose acknowledged frames, and with
// a young epoch's only ones the epoch itself.
func (b *Bus) NewEpoch(ctx context.Context, stream string) (uint64, error) {
	known, err := b.KnownEpoch(ctx, stream)
	if err != nil {
		return 0, err
	}
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return 0, err
	}
	given, revision := &rtapv1.Checkpoint{}, uint64(0)
	e, err := kv.Get(ctx, epochKey(stream))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
	case err != nil:
		return 0, fmt.Errorf("reading the newest epoch of %s: %w", stream, err)
	default:
		if err := proto.Unmarshal(e.Value(), given); err != nil {
			return 0, fmt.Errorf("decoding the newest epoch of %s: %w", stream, err)
		}
		revision = e.Revision()
	}
	next := &rtapv1.Checkpoint{StreamId: stream, Epoch: 1 + max(known, given.GetEpoch())}
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
