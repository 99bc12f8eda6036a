package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// DeadLetter is a job that was given up, as RTAP_DEAD holds it.
type DeadLetter struct {
	Number uint64 // its sequence there
	Stored time.Time
	*rtapv1.DeadJob
}

// What a worker says of a retry, in an event of that kind.
const (
	KindRetry    = "retry"
	RetryOutcome = "outcome" // the attribute that holds one of:
	RetryStored  = "stored"
	RetryEmpty   = "empty"
	RetryFailed  = "failed"
)

// ErrNoLetter says that RTAP_DEAD has no such number (any more).
var ErrNoLetter = errors.New("no such dead letter")

// PublishDead stores a job that was given up.
func (b *Bus) PublishDead(ctx context.Context, d *rtapv1.DeadJob) error {
	msg, err := binary(Dead(d.GetJob().GetStreamId()), d)
	if err != nil {
		return err
	}
	if _, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID("dead/"+d.GetJob().GetSegmentId())); err != nil {
		return fmt.Errorf("storing dead job: %w", err)
	}
	return nil
}

// DeadLetters hands each letter that is stored now to take, oldest first, until it fails.
func (b *Bus) DeadLetters(ctx context.Context, take func(DeadLetter) error) error {
	return b.stored(ctx, StreamDead, jetstream.OrderedConsumerConfig{}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		l, err := letter(meta.Sequence.Stream, meta.Timestamp, m.Data())
		if err != nil {
			return err
		}
		return take(l)
	})
}

// HasFinal says whether a stream's log has an ordinal's own final, one that came in its
// turn, among what was stored since a moment; the zero time stands for all that there is.
func (b *Bus) HasFinal(ctx context.Context, stream string, ordinal uint64, since time.Time) (bool, error) {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{Final(stream)}}
	if !since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	found := errors.New("found")
	err := b.stored(ctx, StreamTranscripts, cfg, func(m jetstream.Msg) error {
		if e, err := wire.ParseEntry(m.Data()); err == nil && e.Results != nil && !e.Late() && e.Ordinal() == ordinal {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		return true, nil
	}
	return false, err
}

// stored hands what a stream holds now to take, in order, until it fails.
func (b *Bus) stored(ctx context.Context, stream string, cfg jetstream.OrderedConsumerConfig, take func(jetstream.Msg) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg.InactiveThreshold = 10 * time.Second
	c, err := b.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	left := c.CachedInfo().NumPending // what comes later is not waited for
	if left == 0 {
		return nil
	}
	msgs, err := c.Messages()
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	defer msgs.Stop()
	for ; left > 0; left-- {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading %s: %w", stream, err)
		}
		if err := take(m); err != nil {
			return err
		}
	}
	return nil
}

// DeadLetter returns one; [ErrNoLetter] when it has gone.
func (b *Bus) DeadLetter(ctx context.Context, number uint64) (DeadLetter, error) {
	s, err := b.stream(ctx, StreamDead)
	if err != nil {
		return DeadLetter{}, err
	}
	msg, err := s.GetMsg(ctx, number)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return DeadLetter{}, fmt.Errorf("%w: %d", ErrNoLetter, number)
	}
	if err != nil {
		return DeadLetter{}, fmt.Errorf("reading dead letter %d: %w", number, err)
	}
	return letter(number, msg.Time, msg.Data)
}

func letter(number uint64, stored time.Time, data []byte) (DeadLetter, error) {
	l := DeadLetter{Number: number, Stored: stored, DeadJob: &rtapv1.DeadJob{}}
	if err := proto.Unmarshal(data, l.DeadJob); err != nil {
		return DeadLetter{}, fmt.Errorf("decoding dead letter %d: %w", number, err)
	}
	return l, nil
}

// RetryDead offers a given-up job to the workers once more. Its dead result stays as it is.
func (b *Bus) RetryDead(ctx context.Context, l DeadLetter) error {
	job := proto.CloneOf(l.GetJob())
	job.Retry, job.DeadNumber, job.Draft = true, l.Number, nil
	msg, err := binary(FinalJob(job.GetStreamId()), job)
	if err != nil {
		return err
	}
	msg.Header.Set("Rtap-Ordinal", strconv.FormatUint(job.GetOrdinal(), 10))
	// An id of its own: the first job's is still known to the server, and a second retry is wanted.
	if _, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID("retry/"+nuid.Next())); err != nil {
		return fmt.Errorf("publishing job %s again: %w", job.GetSegmentId(), err)
	}
	return nil
}

// ForgetDead removes a letter, if the number is still that of the segment: a server that
// came back empty counts anew.
func (b *Bus) ForgetDead(ctx context.Context, number uint64, stream, segment string) error {
	l, err := b.DeadLetter(ctx, number)
	if errors.Is(err, ErrNoLetter) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.GetJob().GetStreamId() != stream || l.GetJob().GetSegmentId() != segment {
		return nil
	}
	s, err := b.stream(ctx, StreamDead)
	if err != nil {
		return err
	}
	if err := s.DeleteMsg(ctx, number); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return fmt.Errorf("removing dead letter %d: %w", number, err)
	}
	return nil
}
