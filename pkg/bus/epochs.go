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

// Epoch is one that was given out or stored; number 0 is none.
type Epoch struct {
	Number uint64
	// Source and Run say whose it is, as its frames do; empty where nobody wrote it down.
	Source, Run string
}

// NewestEpoch returns the highest epoch of a stream.
func (b *Bus) NewestEpoch(ctx context.Context, stream string) (Epoch, error) {
	newest, _, err := b.newestEpoch(ctx, stream)
	return newest, err
}

// newestEpoch is NewestEpoch with the revision of the counter.
func (b *Bus) newestEpoch(ctx context.Context, stream string) (newest Epoch, revision uint64, err error) {
	if newest.Number, err = b.KnownEpoch(ctx, stream); err != nil {
		return Epoch{}, 0, err
	}
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return Epoch{}, 0, err
	}
	e, err := kv.Get(ctx, epochKey(stream))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return newest, 0, nil
	}
	if err != nil {
		return Epoch{}, 0, fmt.Errorf("reading the newest epoch of %s: %w", stream, err)
	}
	given := &rtapv1.Checkpoint{}
	if err := proto.Unmarshal(e.Value(), given); err != nil {
		return Epoch{}, 0, fmt.Errorf("decoding the newest epoch of %s: %w", stream, err)
	}
	if given.GetEpoch() >= newest.Number {
		newest = Epoch{Number: given.GetEpoch(), Source: given.GetSource(), Run: given.GetRun()}
	}
	return newest, e.Revision(), nil
}

// NewEpoch gives out an epoch of a stream to a source in a run: higher than any before, and to nobody else. It is
// recorded before its first frame, because the server may lose acknowledged frames, and with
// a young epoch's only ones the epoch itself.
func (b *Bus) NewEpoch(ctx context.Context, stream, source, run string) (uint64, error) {
	newest, revision, err := b.newestEpoch(ctx, stream)
	if err != nil {
		return 0, err
	}
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return 0, err
	}
	next := &rtapv1.Checkpoint{StreamId: stream, Epoch: 1 + newest.Number, Source: source, Run: run}
	data, err := proto.Marshal(next)
	if err != nil {
		return 0, fmt.Errorf("encoding an epoch: %w", err)
	}
	if revision == 0 {
		_, err = kv.Create(ctx, epochKey(stream), data) // the record of a stream that was forgotten leaves a mark
	} else {
		_, err = kv.Update(ctx, epochKey(stream), data, revision)
	}
	if conflict(err) || errors.Is(err, jetstream.ErrKeyExists) {
		return 0, fmt.Errorf("a new epoch of %s: %w", stream, ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("recording an epoch of %s: %w", stream, err)
	}
	return next.GetEpoch(), nil
}
