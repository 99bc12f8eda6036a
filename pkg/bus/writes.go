package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// What a conditional write found.
var (
	// ErrExists: a result for the ordinal stands already; the first one counts.
	ErrExists = errors.New("a result is stored already")
	// ErrConflict: somebody else wrote since the caller last read.
	ErrConflict = errors.New("changed by another holder")
)

// errWrongLastSequenceConstant is the server's code for a wrong sequence under a condition of 0.
const errWrongLastSequenceConstant jetstream.ErrorCode = 10164

func conflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == errWrongLastSequenceConstant)
}

func binary(subject string, m proto.Message) (*nats.Msg, error) {
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding for %s: %w", subject, err)
	}
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{wire.ContentTypeHeader: {wire.Protobuf}}}, nil
}

func text(subject string, m proto.Message) (*nats.Msg, error) {
	data, err := wire.MarshalJSON(m)
	if err != nil {
		return nil, fmt.Errorf("encoding for %s: %w", subject, err)
	}
	return &nats.Msg{Subject: subject, Data: data, Header: nats.Header{wire.ContentTypeHeader: {wire.JSON}}}, nil
}

// LoadCheckpoint returns a stream's checkpoint and its revision; nil and 0 without one.
func (b *Bus) LoadCheckpoint(ctx context.Context, stream string) (*rtapv1.Checkpoint, uint64, error) {
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return nil, 0, err
	}
	e, err := kv.Get(ctx, stream)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the checkpoint of %s: %w", stream, err)
	}
	cp := &rtapv1.Checkpoint{}
	if err := proto.Unmarshal(e.Value(), cp); err != nil {
		return nil, 0, fmt.Errorf("decoding the checkpoint of %s: %w", stream, err)
	}
	return cp, e.Revision(), nil
}

// StoreCheckpoint writes cp if the stored revision is still rev (0: none), and returns
// the new one. It gives ErrConflict when another holder has written.
func (b *Bus) StoreCheckpoint(ctx context.Context, cp *rtapv1.Checkpoint, rev uint64) (uint64, error) {
	kv, err := b.bucket(ctx, BucketCheckpoints)
	if err != nil {
		return 0, err
	}
	data, err := proto.Marshal(cp)
	if err != nil {
		return 0, fmt.Errorf("encoding a checkpoint: %w", err)
	}
	next, err := kv.Update(ctx, cp.GetStreamId(), data, rev)
	b.NoteWrite(BucketCheckpoints, err)
	if conflict(err) || errors.Is(err, jetstream.ErrKeyExists) {
		return 0, fmt.Errorf("checkpoint of %s: %w", cp.GetStreamId(), ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("writing the checkpoint of %s: %w", cp.GetStreamId(), err)
	}
	return next, nil
}

// PublishJob stores a closed segment's job and waits for the acknowledgement. One with a
// draft's text goes where it is taken while an inference runs. ErrFull says that RTAP_JOBS
// has no room.
func (b *Bus) PublishJob(ctx context.Context, job *rtapv1.FinalJob) error {
	subject := FinalJob(job.GetStreamId())
	if job.GetDraft() != nil {
		subject = ReadyJob(job.GetStreamId())
	}
	msg, err := binary(subject, job)
	if err != nil {
		return err
	}
	msg.Header.Set("traceparent", job.GetTraceparent())
	msg.Header.Set("Rtap-Ordinal", strconv.FormatUint(job.GetOrdinal(), 10))
	if _, err := b.js.PublishMsg(ctx, msg, jetstream.WithMsgID("job/"+job.GetSegmentId())); err != nil {
		return fmt.Errorf("publishing job %s: %w", job.GetSegmentId(), err)
	}
	return nil
}

// PublishDraft offers preliminary work; it does not wait, and the work may be shed.
func (b *Bus) PublishDraft(job *rtapv1.DraftJob) error {
	subject := Speculative(job.GetStreamId())
	if job.GetKind() == rtapv1.DraftJob_KIND_INTERIM {
		subject = Draft(job.GetStreamId())
	}
	return b.send(subject, job)
}

// PublishDraftResult says what became of a draft, to whoever listens.
func (b *Bus) PublishDraftResult(r *rtapv1.DraftResult) error {
	return b.send(DraftResult(r.GetStreamId()), r)
}

func (b *Bus) send(subject string, m proto.Message) error {
	msg, err := binary(subject, m)
	if err != nil {
		return err
	}
	return b.core.PublishMsg(msg)
}

// DraftResults gives what becomes of a stream's drafts until stop is called. What does not
// fit into the channel is dropped: a draft is never needed.
func (b *Bus) DraftResults(stream string) (results <-chan *rtapv1.DraftResult, stop func(), err error) {
	out := make(chan *rtapv1.DraftResult, 64)
	stop, err = b.core.Subscribe(DraftResult(stream), func(m *nats.Msg) {
		r := &rtapv1.DraftResult{}
		if proto.Unmarshal(m.Data, r) != nil {
			return
		}
		select {
		case out <- r:
		default:
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("listening for drafts of %s: %w", stream, err)
	}
	return out, stop, nil
}

// StoreResult records what became of an ordinal. The first result stands: ErrExists
// says that there is one.
func (b *Bus) StoreResult(ctx context.Context, r *rtapv1.Result) error {
	msg, err := binary(Result(r.GetStreamId(), r.GetOrdinal()), r)
	if err != nil {
		return err
	}
	_, err = b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	if conflict(err) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("storing result %s/%d: %w", r.GetStreamId(), r.GetOrdinal(), err)
	}
	return nil
}

// Result returns the stored result of an ordinal; nil when there is none (any more).
func (b *Bus) Result(ctx context.Context, stream string, ordinal uint64) (*rtapv1.Result, error) {
	s, err := b.stream(ctx, StreamResults)
	if err != nil {
		return nil, err
	}
	msg, err := s.GetLastMsgForSubject(ctx, Result(stream, ordinal))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for result %s/%d: %w", stream, ordinal, err)
	}
	r := &rtapv1.Result{}
	if err := proto.Unmarshal(msg.Data, r); err != nil {
		return nil, fmt.Errorf("decoding result %s/%d: %w", stream, ordinal, err)
	}
	return r, nil
}

// HasResult says whether an ordinal is settled: by a stored result, or by a released
// transcript at or above it.
func (b *Bus) HasResult(ctx context.Context, stream string, ordinal uint64) (bool, error) {
	r, err := b.Result(ctx, stream, ordinal)
	if err != nil || r != nil {
		return r != nil, err
	}
	last, _, err := b.LastFinal(ctx, stream)
	if err != nil {
		return false, err
	}
	return last != nil && last.Released() >= ordinal, nil
}

// LastFinal returns the newest entry of a stream's transcript log and its sequence in
// RTAP_TRANSCRIPTS; nil and 0 when there is none.
func (b *Bus) LastFinal(ctx context.Context, stream string) (*wire.Entry, uint64, error) {
	s, err := b.stream(ctx, StreamTranscripts)
	if err != nil {
		return nil, 0, err
	}
	msg, err := s.GetLastMsgForSubject(ctx, Final(stream))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("reading the last final of %s: %w", stream, err)
	}
	e, err := wire.ParseEntry(msg.Data)
	if err != nil {
		return nil, 0, fmt.Errorf("last final of %s: %w", stream, err)
	}
	return &e, msg.Sequence, nil
}

// StoreFinal appends an entry to its stream's log if the log's last sequence is still
// expected, and returns the new one. ErrConflict says that somebody else appended.
func (b *Bus) StoreFinal(ctx context.Context, e wire.Entry, expected uint64) (uint64, error) {
	msg, err := text(Final(e.StreamID()), e.Message())
	if err != nil {
		return 0, err
	}
	if e.Late() {
		msg.Header.Set(lateHeader, strconv.FormatUint(e.Ordinal(), 10))
	}
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(expected))
	if conflict(err) {
		return 0, fmt.Errorf("transcript log of %s: %w", e.StreamID(), ErrConflict)
	}
	if err != nil {
		return 0, fmt.Errorf("storing a final of %s: %w", e.StreamID(), err)
	}
	return ack.Sequence, nil
}

// PublishText sends m as JSON without storing or waiting: interims and VAD events.
func (b *Bus) PublishText(subject string, m proto.Message) error {
	msg, err := text(subject, m)
	if err != nil {
		return err
	}
	return b.core.PublishMsg(msg)
}

// Emit records an event; it is best effort and never blocks for long.
func (b *Bus) Emit(e *rtapv1.ServiceEvent) {
	if err := b.PublishText(Event(e.GetService(), e.GetKind()), e); err != nil {
		b.log.Debug("event not sent", "kind", e.GetKind(), "error", err)
	}
}
