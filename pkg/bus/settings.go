package bus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Attributes of a process's status that say how far it is with the settings.
const (
	AttributeSettingsRevision = "settings_revision"
	AttributeSettingsError    = "settings_error" // empty when they were taken over
	// The same for the log level, which every process follows.
	AttributeLogLevel    = "log_level"
	AttributeLogRevision = "log_level_revision"
	AttributeLogError    = "log_level_error"
)

// SetSetting changes a setting of all running processes and returns the change's number.
// Which keys may be set is pkg/config's to say.
func (b *Bus) SetSetting(ctx context.Context, key, value string) (uint64, error) {
	kv, err := b.js.KeyValue(ctx, BucketConfig)
	if err != nil {
		return 0, fmt.Errorf("opening the settings: %w", err)
	}
	revision, err := kv.PutString(ctx, key, value)
	if err != nil {
		return 0, fmt.Errorf("changing %s: %w", key, err)
	}
	return revision, nil
}

// UnsetSetting takes a change back and returns the number of that change.
func (b *Bus) UnsetSetting(ctx context.Context, key string) (uint64, error) {
	kv, err := b.js.KeyValue(ctx, BucketConfig)
	if err != nil {
		return 0, fmt.Errorf("opening the settings: %w", err)
	}
	if err := kv.Delete(ctx, key); err != nil {
		return 0, fmt.Errorf("taking %s back: %w", key, err)
	}
	// The deletion is a message of its own; only its stream tells its number.
	s, err := b.js.Stream(ctx, "KV_"+BucketConfig)
	if err != nil {
		return 0, fmt.Errorf("taking %s back: %w", key, err)
	}
	return s.CachedInfo().State.LastSeq, nil
}

// Settings returns every setting that was changed while running.
func (b *Bus) Settings(ctx context.Context) (map[string]string, error) {
	kv, err := b.js.KeyValue(ctx, BucketConfig)
	if err != nil {
		return nil, fmt.Errorf("opening the settings: %w", err)
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the settings: %w", err)
	}
	defer func() { _ = keys.Stop() }()
	out := map[string]string{}
	for key := range keys.Keys() {
		e, err := kv.Get(ctx, key)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
		case err != nil:
			return nil, fmt.Errorf("reading %s: %w", key, err)
		default:
			out[key] = string(e.Value())
		}
	}
	return out, nil
}

// WatchSettings calls change with every setting that was changed while running, and the
// number of the newest change: at once, and after each further change, until ctx is done
// or again is closed (nil).
func (b *Bus) WatchSettings(ctx context.Context, again <-chan struct{}, change func(settings map[string]string, revision uint64)) error {
	kv, err := b.js.KeyValue(ctx, BucketConfig)
	if err != nil {
		return fmt.Errorf("opening the settings: %w", err)
	}
	w, err := kv.WatchAll(ctx)
	if err != nil {
		return fmt.Errorf("watching the settings: %w", err)
	}
	defer stopWatch(w)
	settings, revision, complete := map[string]string{}, uint64(0), false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
			return nil
		case e, ok := <-w.Updates():
			switch {
			case !ok:
				return errors.New("watching the settings: the watch ended")
			case e == nil:
				complete = true
			case e.Operation() == jetstream.KeyValuePut:
				settings[e.Key()] = string(e.Value())
			default:
				delete(settings, e.Key())
			}
			if e != nil {
				revision = max(revision, e.Revision())
			}
			if complete {
				change(maps.Clone(settings), revision)
			}
		}
	}
}

// stopWatch ends a watch. That waits for the server's answer: one that hangs does not keep a process that stops.
func stopWatch(w jetstream.KeyWatcher) {
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Stop() }()
	select {
	case <-done:
	case <-time.After(200 * time.Millisecond):
	}
}
