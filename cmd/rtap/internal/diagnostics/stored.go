package diagnostics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// streams are RTAP's streams and buckets with their consumers.
func streams(ctx context.Context, s *site, w io.Writer) error {
	js, err := s.jetStream()
	if err != nil {
		return err
	}
	if info, err := js.AccountInfo(ctx); err == nil {
		fmt.Fprintf(w, "account: %d bytes on disk of %d, %d in memory of %d, %d streams, %d consumers, %d errors of the API\n\n",
			info.Store, info.Limits.MaxStore, info.Memory, info.Limits.MaxMemory, info.Streams, info.Consumers, info.API.Errors)
	}
	list := js.ListStreams(ctx)
	var all []*jetstream.StreamInfo
	for info := range list.Info() {
		if strings.HasPrefix(info.Config.Name, "RTAP_") || strings.HasPrefix(info.Config.Name, "KV_rtap_") {
			all = append(all, info)
		}
	}
	slices.SortFunc(all, func(a, b *jetstream.StreamInfo) int { return cmp.Compare(a.Config.Name, b.Config.Name) })
	for _, info := range all {
		st := info.State
		fmt.Fprintf(w, "%s: %d messages, %d bytes, sequences %d to %d, %d deleted, first %s, last %s\n", info.Config.Name,
			st.Msgs, st.Bytes, st.FirstSeq, st.LastSeq, st.NumDeleted, moment(st.FirstTime), moment(st.LastTime))
		c := info.Config
		fmt.Fprintf(w, "  made %s; %v, %v, discard %v, max_age %s, max_bytes %d, max_msgs_per_subject %d, replicas %d, metadata %v\n",
			moment(info.Created), c.Storage, c.Retention, c.Discard, c.MaxAge, c.MaxBytes, c.MaxMsgsPerSubject, c.Replicas, c.Metadata)
		if info.Cluster != nil {
			fmt.Fprintf(w, "  leader %s, replicas %v\n", info.Cluster.Leader, info.Cluster.Replicas)
		}
		consumers(ctx, js, c.Name, w)
	}
	return list.Err()
}

func consumers(ctx context.Context, js jetstream.JetStream, name string, w io.Writer) {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		fmt.Fprintf(w, "  consumers not available: %v\n", err)
		return
	}
	list := stream.ListConsumers(ctx)
	for c := range list.Info() {
		fmt.Fprintf(w, "  consumer %s: filter %v, delivered %d, settled up to %d, %d waiting, %d unsettled, %d delivered again, %d asking\n", c.Name,
			append([]string{c.Config.FilterSubject}, c.Config.FilterSubjects...), c.Delivered.Stream, c.AckFloor.Stream, c.NumPending, c.NumAckPending, c.NumRedelivered, c.NumWaiting)
	}
	if err := list.Err(); err != nil {
		fmt.Fprintf(w, "  consumers not available: %v\n", err)
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// changes lists what `rtap config set` has changed.
func changes(ctx context.Context, s *site, w io.Writer) error {
	return s.bucket(ctx, bus.BucketConfig, func(e jetstream.KeyValueEntry) {
		fmt.Fprintf(w, "%s=%s (since %s)\n", e.Key(), e.Value(), moment(e.Created()))
	})
}

// bucket calls each with every key of a bucket.
func (s *site) bucket(ctx context.Context, name string, each func(jetstream.KeyValueEntry)) error {
	js, err := s.jetStream()
	if err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return fmt.Errorf("listing %s: %w", name, err)
	}
	defer func() { _ = keys.Stop() }()
	for key := range keys.Keys() {
		if e, err := kv.Get(ctx, key); err == nil {
			each(e)
		}
	}
	return nil
}

// state is where each stream of audio is. Texts are left out: what was said is nobody's
// business who mends the pipeline.
func state(ctx context.Context, s *site, w io.Writer) error {
	fmt.Fprintln(w, "leases:")
	errs := []error{s.bucket(ctx, bus.BucketLeases, func(e jetstream.KeyValueEntry) {
		fmt.Fprintf(w, "  %s: %s (revision %d)\n", e.Key(), printable(e.Value()), e.Revision())
	})}
	fmt.Fprintln(w, "checkpoints:")
	errs = append(errs, s.bucket(ctx, bus.BucketCheckpoints, func(e jetstream.KeyValueEntry) {
		cp := &rtapv1.Checkpoint{}
		if err := proto.Unmarshal(e.Value(), cp); err != nil {
			fmt.Fprintf(w, "  %s: not readable: %v\n", e.Key(), err)
			return
		}
		fmt.Fprintf(w, "  %s: epoch %d, ordinal %d, next frame %d, ended %v, written %s (revision %d)\n",
			cp.GetStreamId(), cp.GetEpoch(), cp.GetOrdinal(), cp.GetNextFrame(), cp.GetEnded(), moment(e.Created()), e.Revision())
	}))
	fmt.Fprintln(w, "last finals:")
	return errors.Join(append(errs, s.finals(ctx, w))...)
}

// printable is a value that may be text or protobuf.
func printable(value []byte) string {
	l := &rtapv1.Lease{}
	if wire.UnmarshalJSON(value, l) == nil && l.GetHolder() != "" {
		return "held by " + l.GetHolder()
	}
	return fmt.Sprintf("%q", value[:min(len(value), 200)])
}

func (s *site) finals(ctx context.Context, w io.Writer) error {
	js, err := s.jetStream()
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, bus.StreamTranscripts)
	if err != nil {
		return fmt.Errorf("opening transcripts: %w", err)
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(bus.AllFinals))
	if err != nil {
		return fmt.Errorf("listing transcripts: %w", err)
	}
	for subject, n := range info.State.Subjects {
		m, err := stream.GetLastMsgForSubject(ctx, subject)
		if err != nil {
			return fmt.Errorf("reading %s: %w", subject, err)
		}
		if e, err := wire.ParseEntry(m.Data); err == nil {
			fmt.Fprintf(w, "  %s: %d entries, seq %d, ordinal %d, stored %s\n", e.StreamID(), n, e.Seq(), e.Ordinal(), moment(m.Time))
		}
	}
	return nil
}

// most bounds events and given-up jobs.
const most = 300

// events are the newest ones within the time that is asked for.
func events(ctx context.Context, s *site, w io.Writer) error {
	return s.newest(ctx, bus.StreamEvents, s.since, func(m jetstream.Msg) {
		fmt.Fprintf(w, "%s\n", m.Data())
	})
}

// dead are the given-up jobs, without their audio.
func dead(ctx context.Context, s *site, w io.Writer) error {
	return s.newest(ctx, bus.StreamDead, 0, func(m jetstream.Msg) {
		d := &rtapv1.DeadJob{}
		if err := proto.Unmarshal(m.Data(), d); err != nil {
			fmt.Fprintf(w, "not readable: %v\n", err)
			return
		}
		fmt.Fprintf(w, "%s/%d segment %s, %.1f s of audio, given up by %s after %d deliveries: %s\n", d.GetJob().GetStreamId(), d.GetJob().GetOrdinal(),
			d.GetJob().GetSegmentId(), float64(len(d.GetJob().GetPcm()))/32000, d.GetWorker(), d.GetDeliveries(), d.GetReason())
	})
}

// newest calls each with the last messages of a stream, at most as many as are of use.
func (s *site) newest(ctx context.Context, name string, since time.Duration, each func(jetstream.Msg)) error {
	js, err := s.jetStream()
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("opening %s: %w", name, err)
	}
	st := stream.CachedInfo().State
	if st.Msgs == 0 {
		return nil
	}
	cfg := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: st.FirstSeq}
	if st.LastSeq-st.FirstSeq >= most {
		cfg.OptStartSeq = st.LastSeq - most + 1
	}
	c, err := js.OrderedConsumer(ctx, name, cfg)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	msgs, err := c.Messages()
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	defer msgs.Stop()
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if since == 0 || time.Since(meta.Timestamp) <= since {
			each(m)
		}
		if meta.NumPending == 0 || meta.Sequence.Stream >= st.LastSeq {
			return nil
		}
	}
}
