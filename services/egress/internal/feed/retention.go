package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
)

// RetentionEvery is how often old finals are removed.
const RetentionEvery = time.Hour

// KeepRetention removes old finals until ctx is done.
func KeepRetention(ctx context.Context, rt *service.Runtime) error {
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(RetentionEvery)
	defer tick.Stop()
	for {
		if age := rt.Config.Streams.Transcripts.MaxAge; age > 0 {
			if err := Purge(ctx, rt, time.Now().Add(-age)); err != nil && ctx.Err() == nil {
				rt.Log.Warn("removing old finals failed", "error", err)
				rt.Metrics.Errors.WithLabelValues("egress", "retention").Inc()
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Purge removes finals older than the moment, but never a stream's last entry: that one
// holds the stream's numbering.
func Purge(ctx context.Context, rt *service.Runtime, before time.Time) error {
	s, err := rt.Bus.JS().Stream(ctx, bus.StreamTranscripts)
	if err != nil {
		return fmt.Errorf("opening transcripts: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(bus.AllFinals))
	if err != nil {
		return fmt.Errorf("listing transcripts: %w", err)
	}
	for subject := range info.State.Subjects {
		keep, err := firstSince(ctx, rt, subject, before)
		if err != nil {
			return err
		}
		option := jetstream.WithPurgeKeep(1)
		if keep > 0 {
			option = jetstream.WithPurgeSequence(keep)
		}
		if err := s.Purge(ctx, jetstream.WithPurgeSubject(subject), option); err != nil {
			return fmt.Errorf("purging %s: %w", subject, err)
		}
	}
	return nil
}

// firstSince returns the sequence of the first entry at or after the moment; 0 for none.
func firstSince(ctx context.Context, rt *service.Runtime, subject string, moment time.Time) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := rt.Bus.JS().OrderedConsumer(ctx, bus.StreamTranscripts, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{subject}, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &moment,
	})
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", subject, err)
	}
	batch, err := c.FetchNoWait(1)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", subject, err)
	}
	var first uint64
	for m := range batch.Messages() {
		meta, err := m.Metadata()
		if err != nil {
			return 0, err
		}
		first = meta.Sequence.Stream
	}
	if err := batch.Error(); err != nil && !errors.Is(err, jetstream.ErrNoMessages) {
		return 0, fmt.Errorf("reading %s: %w", subject, err)
	}
	return first, nil
}
