package bus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lease"
)

const logIDKey = "log_id"

// draftMaxAge sheds drafts that nobody had time for.
const draftMaxAge = 2 * time.Second

// streamConfigs lists every stream; the only place where they are described.
func streamConfigs(cfg *config.Config) []jetstream.StreamConfig {
	s := cfg.Streams
	file := func(name, about string, r config.Retention, subjects ...string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: about, Subjects: subjects, Storage: jetstream.FileStorage,
			Replicas: cfg.NATS.Replicas, MaxAge: r.MaxAge, MaxBytes: int64(r.MaxMB) << 20, AllowDirect: true,
		}
	}
	audio := file(StreamAudio, "PCM frames", s.Audio, AllAudio)
	audio.Discard = jetstream.DiscardOld
	if cfg.NATS.Replicas == 1 {
		// Frames are resent from capture's ring, so they need no fsync each.
		audio.PersistMode = jetstream.AsyncPersistMode
	}
	ingest := file(StreamIngest, "Audio of remote clients", s.Ingest, AllIngest)
	ingest.Discard = jetstream.DiscardNew
	drafts := jetstream.StreamConfig{
		Name: StreamDrafts, Description: "Preliminary work, the newest of each stream", Subjects: []string{AllDrafts, AllSpeculative},
		Storage: jetstream.MemoryStorage, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 1, MaxAge: draftMaxAge, MaxBytes: 64 << 20, Replicas: cfg.NATS.Replicas,
	}
	jobs := file(StreamJobs, "Closed segments waiting for their text", s.Jobs, AllFinalJob, AllReady)
	jobs.Retention, jobs.Discard = jetstream.WorkQueuePolicy, jetstream.DiscardNew
	results := file(StreamResults, "What became of each ordinal", s.Results, AllResults)
	results.Discard = jetstream.DiscardNew
	// Age is not the server's to enforce here: a stream's last message holds its numbering.
	transcripts := file(StreamTranscripts, "Finals in order", config.Retention{MaxMB: s.Transcripts.MaxMB}, AllFinals)
	transcripts.Discard = jetstream.DiscardNew
	dead := file(StreamDead, "Jobs given up", s.Dead, prefix+"dead.*")
	events := file(StreamEvents, "State changes, configuration changes, errors", s.Events, AllEvents)
	return []jetstream.StreamConfig{audio, ingest, drafts, jobs, results, transcripts, dead, events}
}

func bucketConfigs(cfg *config.Config) []jetstream.KeyValueConfig {
	return []jetstream.KeyValueConfig{
		// In memory: a renewal costs no fsync, and what a restart forgets is taken again.
		{Bucket: BucketLeases, Description: "Who captures, segments, is active", TTL: lease.TTL, Storage: jetstream.MemoryStorage, Replicas: cfg.NATS.Replicas},
		{Bucket: BucketConfig, Description: "Settings changed while running", History: 5, Replicas: cfg.NATS.Replicas},
		{Bucket: BucketCheckpoints, Description: "How far each stream is", History: 1, Replicas: cfg.NATS.Replicas},
	}
}

// updateWait bounds one attempt to change a stream. A server that does not let this user do
// it says so on the side and never answers.
const updateWait = 2 * time.Second

// Setup makes every stream and bucket that is missing and brings existing ones to this
// configuration, where the server lets this process do that; else they stay as they are. It
// may run in several processes at once, and again at any time.
func (b *Bus) Setup(ctx context.Context) error {
	for _, want := range streamConfigs(b.cfg) {
		if err := b.setupStream(ctx, want); err != nil {
			return fmt.Errorf("setting up stream %s: %w", want.Name, err)
		}
	}
	for _, want := range bucketConfigs(b.cfg) {
		if err := b.setupBucket(ctx, want); err != nil {
			return fmt.Errorf("setting up bucket %s: %w", want.Bucket, err)
		}
	}
	return nil
}

func (b *Bus) setupBucket(ctx context.Context, want jetstream.KeyValueConfig) error {
	s, err := b.js.Stream(ctx, "KV_"+want.Bucket)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateKeyValue(ctx, want)
		if err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrBucketExists) {
			return err
		}
		s, err = b.js.Stream(ctx, "KV_"+want.Bucket) // another process was faster
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if have.MaxAge == want.TTL && have.MaxMsgsPerSubject == int64(max(1, want.History)) && have.Replicas == want.Replicas {
		return nil
	}
	// Where a bucket is stored cannot be changed; leases in a file work as well.
	want.Storage = have.Storage
	return b.update(ctx, have.Name, func(ctx context.Context) error {
		_, err := b.js.UpdateKeyValue(ctx, want)
		return err
	})
}

func (b *Bus) setupStream(ctx context.Context, want jetstream.StreamConfig) error {
	if want.Name == StreamTranscripts {
		want.Metadata = map[string]string{logIDKey: nuid.Next()}
	}
	s, err := b.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		_, err = b.js.CreateStream(ctx, want)
		if err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
		s, err = b.js.Stream(ctx, want.Name)
	}
	if err != nil {
		return err
	}
	have := s.CachedInfo().Config
	if id := have.Metadata[logIDKey]; id != "" {
		want.Metadata[logIDKey] = id
	}
	if have.MaxAge == want.MaxAge && have.MaxBytes == want.MaxBytes && have.Replicas == want.Replicas &&
		have.Discard == want.Discard && reflect.DeepEqual(have.Subjects, want.Subjects) &&
		have.Metadata[logIDKey] == want.Metadata[logIDKey] {
		return nil
	}
	b.log.Warn("stream differs from the configuration, updating it", "stream", want.Name,
		"max_age", have.MaxAge, "want_max_age", want.MaxAge, "max_bytes", have.MaxBytes, "want_max_bytes", want.MaxBytes)
	return b.update(ctx, want.Name, func(ctx context.Context) error {
		_, err := b.js.UpdateStream(ctx, want)
		return err
	})
}

// update changes a stream that exists. One that this user may not change stays as it is: it
// works all the same.
func (b *Bus) update(ctx context.Context, stream string, do func(context.Context) error) error {
	subject := "$JS.API.STREAM.UPDATE." + stream
	if _, known := b.forbidden.Load(subject); known {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, updateWait)
	defer cancel()
	err := do(ctx)
	if err == nil {
		return nil
	}
	if _, refused := b.forbidden.Load(subject); refused {
		b.log.Warn("this user may not change the stream, which stays as it is; change it as the operator, with the nats command", "stream", stream)
		return nil
	}
	return fmt.Errorf("updating: %w", err)
}

// LogID returns the id of the transcript log that finals are numbered in.
func (b *Bus) LogID(ctx context.Context) (string, error) {
	s, err := b.js.Stream(ctx, StreamTranscripts)
	if err != nil {
		return "", fmt.Errorf("reading the transcript log's id: %w", err)
	}
	return LogIDOf(s.CachedInfo().Config), nil
}

// LogIDOf returns the id in the configuration of RTAP_TRANSCRIPTS.
func LogIDOf(cfg jetstream.StreamConfig) string { return cfg.Metadata[logIDKey] }
