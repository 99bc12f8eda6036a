package bus

import (
	"context"
	"errors"
	"fmt"
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
	d, err := compareBucket(have, want)
	if err != nil {
		return err
	}
	// Leases in a file work as well.
	want.Storage = have.Storage
	return b.mend(ctx, d, func(ctx context.Context) error {
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
	d, err := compare(have, want)
	if err != nil {
		return err
	}
	return b.mend(ctx, d, func(ctx context.Context) error {
		_, err := b.js.UpdateStream(ctx, want)
		return err
	})
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
