package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// ErrFull says that a stream that refuses what is new has no room.
var ErrFull = errors.New("the store is full")

const (
	// ingestAckWait is longer than anything is kept: what was not acknowledged comes again
	// with the next reader's consumer, not before.
	ingestAckWait = time.Hour
	// ingestIdle removes a consumer that nobody has read for so long.
	ingestIdle = time.Hour
)

// errStoreFailed is the server's code for a message that its store refuses.
const errStoreFailed jetstream.ErrorCode = 10077

// StoreIngest appends a client's audio to its stream if the stream's last chunk is still
// the one at expected (0: it has none), and returns the new one's sequence. ErrConflict
// says that it is not, ErrFull that RTAP_INGEST has no room.
func (b *Bus) StoreIngest(ctx context.Context, c *rtapv1.IngestChunk, expected uint64) (uint64, error) {
	msg, err := binary(Ingest(c.GetStreamId()), c)
	if err != nil {
		return 0, err
	}
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(expected))
	var api *jetstream.APIError
	switch {
	case conflict(err):
		return 0, fmt.Errorf("audio of %s: %w", c.GetStreamId(), ErrConflict)
	case errors.As(err, &api) && api.ErrorCode == errStoreFailed:
		return 0, fmt.Errorf("audio of %s: %w (%s, streams.ingest.max_mb)", c.GetStreamId(), ErrFull, api.Description)
	case err != nil:
		return 0, fmt.Errorf("storing audio of %s: %w", c.GetStreamId(), err)
	}
	return ack.Sequence, nil
}

// LastIngest returns the newest chunk of a stream and its sequence; nil and 0 without one.
func (b *Bus) LastIngest(ctx context.Context, stream string) (*rtapv1.IngestChunk, uint64, error) {
	return b.ingest(ctx, stream, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, Ingest(stream))
	})
}

// FirstIngest returns the oldest chunk of a stream that is still needed, and its sequence;
// nil and 0 without one.
func (b *Bus) FirstIngest(ctx context.Context, stream string) (*rtapv1.IngestChunk, uint64, error) {
	return b.ingest(ctx, stream, func(s jetstream.Stream) (*jetstream.RawStreamMsg, error) {
		return s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(Ingest(stream)))
	})
}

func (b *Bus) ingest(ctx context.Context, stream string, read func(jetstream.Stream) (*jetstream.RawStreamMsg, error)) (*rtapv1.IngestChunk, uint64, error) {
	s, err := b.js.Stream(ctx, StreamIngest)
	if err != nil {
		return nil, 0, fmt.Errorf("opening ingest: %w", err)
	}
	msg, err := read(s)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	c := &rtapv1.IngestChunk{}
	if err := proto.Unmarshal(msg.Data, c); err != nil {
		return nil, 0, fmt.Errorf("decoding audio of %s: %w", stream, err)
	}
	return c, msg.Sequence, nil
}

// IngestStreams lists the streams that have audio of remote clients waiting.
func (b *Bus) IngestStreams(ctx context.Context) ([]string, error) {
	s, err := b.js.Stream(ctx, StreamIngest)
	if err != nil {
		return nil, fmt.Errorf("opening ingest: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(AllIngest))
	if err != nil {
		return nil, fmt.Errorf("listing ingest: %w", err)
	}
	var out []string
	for subject := range info.State.Subjects {
		out = append(out, StreamOf(subject))
	}
	return out, nil
}

// IngestReader gives a stream's chunks from the oldest that is still needed. One reads a
// stream at a time: a second one ends the first.
type IngestReader struct {
	stream   string
	store    jetstream.Stream
	messages chan jetstream.Msg
	closed   <-chan struct{}
	stop     func()
}

func ingestDurable(stream string) string { return "capture-" + stream }

// ReadIngest begins to read. The reader does not outlive a connection: make a new one after
// each [Bus.Reconnected]; chunks that are not forgotten come again.
func (b *Bus) ReadIngest(ctx context.Context, stream string) (*IngestReader, error) {
	s, err := b.js.Stream(ctx, StreamIngest)
	if err != nil {
		return nil, fmt.Errorf("opening ingest: %w", err)
	}
	if err := s.DeleteConsumer(ctx, ingestDurable(stream)); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	c, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: ingestDurable(stream), FilterSubject: Ingest(stream), AckPolicy: jetstream.AckAllPolicy,
		AckWait: ingestAckWait, MaxAckPending: -1, InactiveThreshold: ingestIdle,
	})
	if err != nil {
		return nil, fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &IngestReader{stream: stream, store: s, messages: make(chan jetstream.Msg, followBuffer)}
	consuming, err := c.Consume(func(m jetstream.Msg) {
		select {
		case r.messages <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(followBuffer))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	r.closed = consuming.Closed()
	r.stop = func() { cancel(); consuming.Stop(); <-r.closed }
	if err := asked(ctx, c); err != nil {
		r.stop()
		return nil, fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	return r, nil
}

// asked waits until the server has a consumer's first request. One that reaches it when
// somebody has removed the consumer is not answered: its reader would not be told, and ask
// the next reader's, which has the same name.
func asked(ctx context.Context, c jetstream.Consumer) error {
	for range 50 {
		info, err := c.Info(ctx)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			return nil // whoever has removed it has told
		}
		if err != nil || info.NumWaiting > 0 || info.Delivered.Consumer > 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Messages are the chunks as stored, in order.
func (r *IngestReader) Messages() <-chan jetstream.Msg { return r.messages }

// Closed is closed when no more messages come: another reader has begun.
func (r *IngestReader) Closed() <-chan struct{} { return r.closed }

// Forget acknowledges m and everything before it: the chunks are removed.
func (r *IngestReader) Forget(ctx context.Context, m jetstream.Msg) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("reading audio of %s: %w", r.stream, err)
	}
	if err := m.Ack(); err != nil {
		return fmt.Errorf("acknowledging audio of %s: %w", r.stream, err)
	}
	if err := r.store.Purge(ctx, jetstream.WithPurgeSubject(Ingest(r.stream)), jetstream.WithPurgeSequence(meta.Sequence.Stream+1)); err != nil {
		return fmt.Errorf("removing audio of %s: %w", r.stream, err)
	}
	return nil
}

// Close ends the reading; the durable stays.
func (r *IngestReader) Close() { r.stop() }

// RemoveIngest removes what is left of an ended stream: its chunks up to a sequence, and its durable.
func (b *Bus) RemoveIngest(ctx context.Context, stream string, last uint64) error {
	s, err := b.js.Stream(ctx, StreamIngest)
	if err != nil {
		return fmt.Errorf("opening ingest: %w", err)
	}
	if err := s.DeleteConsumer(ctx, ingestDurable(stream)); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return fmt.Errorf("removing the consumer of %s: %w", stream, err)
	}
	if err := s.Purge(ctx, jetstream.WithPurgeSubject(Ingest(stream)), jetstream.WithPurgeSequence(last+1)); err != nil {
		return fmt.Errorf("removing audio of %s: %w", stream, err)
	}
	return nil
}

// KnownEpoch returns the highest epoch of a stream that the checkpoint and the stored audio
// know; 0 without any.
func (b *Bus) KnownEpoch(ctx context.Context, stream string) (uint64, error) {
	cp, _, err := b.LoadCheckpoint(ctx, stream)
	if err != nil {
		return 0, err
	}
	last, err := b.LastFrame(ctx, stream)
	if err != nil {
		return 0, err
	}
	return max(cp.GetEpoch(), last.GetEpoch()), nil
}

// LastFrameAge returns how long ago a stream's newest frame was stored and what it names as
// its source; "" when there is none or it was the source's last.
func (b *Bus) LastFrameAge(ctx context.Context, stream string) (age time.Duration, source string, err error) {
	s, err := b.js.Stream(ctx, StreamAudio)
	if err != nil {
		return 0, "", fmt.Errorf("opening audio: %w", err)
	}
	msg, err := s.GetLastMsgForSubject(ctx, Audio(stream))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("reading the last frame of %s: %w", stream, err)
	}
	f := &rtapv1.Frame{}
	if err := proto.Unmarshal(msg.Data, f); err != nil {
		return 0, "", fmt.Errorf("decoding the last frame of %s: %w", stream, err)
	}
	if f.GetEnd() {
		return 0, "", nil
	}
	return time.Since(msg.Time), f.GetSource(), nil
}
