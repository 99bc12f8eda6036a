package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// ForgetEnded removes the checkpoints of streams whose source ended longer ago than that,
// and returns their ids. A stream that has audio of a newer epoch is left alone, and one
// that somebody writes to meanwhile too. Numbers are not lost with it: those of a stream
// that comes back follow the highest in its results and transcripts. Which epoch was the newest is forgotten
// with it, or later, when there is no audio of the stream any more.
func (b *Bus) ForgetEnded(ctx context.Context, after time.Duration) (gone []string, err error) {
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return nil, err
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing checkpoints: %w", err)
	}
	var ids, epochs []string
	for key := range keys.Keys() {
		if id, ok := strings.CutPrefix(key, epochKey("")); ok {
			epochs = append(epochs, id)
		} else if !strings.Contains(key, ".") { // else it is no stream's
			ids = append(ids, key)
		}
	}
	for _, id := range ids {
		ok, err := b.forgetEnded(ctx, kv, id, after)
		if err != nil {
			return gone, err
		}
		if ok {
			gone = append(gone, id)
		}
	}
	removed := len(gone)
	for _, id := range epochs {
		ok, err := b.forgetEpoch(ctx, kv, id, after)
		if err != nil {
			return gone, err
		}
		if ok {
			removed++
		}
	}
	if removed > 0 {
		// What a removal leaves is a message of its own.
		err = kv.PurgeDeletes(ctx, jetstream.DeleteMarkersOlderThan(time.Minute))
	}
	return gone, err
}

func (b *Bus) forgetEnded(ctx context.Context, kv jetstream.KeyValue, id string, after time.Duration) (bool, error) {
	cp, revision, err := b.LoadCheckpoint(ctx, id)
	if err != nil || !cp.GetEnded() || time.Since(cp.GetWrittenAt().AsTime()) < after {
		return false, err
	}
	last, err := b.LastFrame(ctx, id)
	if err != nil || last.GetEpoch() > cp.GetEpoch() {
		return false, err
	}
	return purge(ctx, kv, id, revision)
}

// forgetEpoch removes the record of the newest epoch of a stream that has neither a checkpoint nor audio.
func (b *Bus) forgetEpoch(ctx context.Context, kv jetstream.KeyValue, id string, after time.Duration) (bool, error) {
	e, err := kv.Get(ctx, epochKey(id))
	if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && time.Since(e.Created()) < after {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading the newest epoch of %s: %w", id, err)
	}
	if known, err := b.KnownEpoch(ctx, id); err != nil || known > 0 {
		return false, err
	}
	return purge(ctx, kv, epochKey(id), e.Revision())
}

// purge removes a key that nobody has written to meanwhile, and says whether it did.
func purge(ctx context.Context, kv jetstream.KeyValue, key string, revision uint64) (bool, error) {
	err := kv.Purge(ctx, key, jetstream.LastRevision(revision))
	if conflict(err) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("removing %s: %w", key, err)
	}
	return true, nil
}
