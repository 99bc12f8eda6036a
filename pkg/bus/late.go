package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// lateHeader is a late final's ordinal, so that it is found without reading the log.
const lateHeader = "Rtap-Late"

// IsLate says whether a subject is that of a late result.
func IsLate(subject string) bool {
	return strings.HasPrefix(subject, prefix+"result.") && strings.HasSuffix(subject, ".late")
}

// StoreLateResult records a text for a segment that was given up, beside its dead result.
// The first one stands: ErrExists says that there is one that was not released yet.
func (b *Bus) StoreLateResult(ctx context.Context, r *rtapv1.Result) error {
	msg, err := binary(ResultLate(r.GetStreamId(), r.GetOrdinal()), r)
	if err != nil {
		return err
	}
	_, err = b.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	if conflict(err) {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("storing late result %s/%d: %w", r.GetStreamId(), r.GetOrdinal(), err)
	}
	return nil
}

// HasLateFinal says whether a stream's log has a late final for an ordinal among what was
// stored since a moment; the zero time stands for all that there is.
func (b *Bus) HasLateFinal(ctx context.Context, stream string, ordinal uint64, since time.Time) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{Final(stream)}, HeadersOnly: true, InactiveThreshold: 10 * time.Second}
	if !since.IsZero() {
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	failed := func(err error) (bool, error) {
		return false, fmt.Errorf("looking for a late final of %s/%d: %w", stream, ordinal, err)
	}
	c, err := b.js.OrderedConsumer(ctx, StreamTranscripts, cfg)
	if err != nil {
		return failed(err)
	}
	left := c.CachedInfo().NumPending // what comes later is guarded by the condition of the write
	if left == 0 {
		return false, nil
	}
	msgs, err := c.Messages()
	if err != nil {
		return failed(err)
	}
	defer msgs.Stop()
	want := strconv.FormatUint(ordinal, 10)
	for ; left > 0; left-- {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return failed(err)
		}
		if m.Headers().Get(lateHeader) == want {
			return true, nil
		}
	}
	return false, nil
}
