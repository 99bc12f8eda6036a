package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
)

// Range is a part of the transcript log.
type Range struct {
	Stream  string    // empty: all streams
	FromSeq uint32    // with Stream: entries from this number on
	After   uint64    // entries above this sequence of the log
	Since   time.Time // entries stored at or after it; zero for no limit
}

// readInactive is how long the server keeps a reader that has gone away.
const readInactive = 10 * time.Second

// errEnough ends a read early.
var errEnough = errors.New("enough")

// Read calls each with what is stored now of a range, in order, until each returns false
// or an error, or ctx is done.
func (h *Hub) Read(ctx context.Context, r Range, each func(Message) (more bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllFinals}, InactiveThreshold: readInactive}
	if r.Stream != "" {
		cfg.FilterSubjects = []string{bus.Final(r.Stream)}
	}
	switch {
	case r.After > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, r.After+1
	case !r.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &r.Since
	}
	c, err := h.rt.Bus.JS().OrderedConsumer(ctx, bus.StreamTranscripts, cfg)
	if err != nil {
		return fmt.Errorf("reading transcripts: %w", err)
	}
	left := c.CachedInfo().NumPending // what comes later is not waited for
	if left == 0 {
		return nil
	}
	msgs, err := c.Messages()
	if err != nil {
		return fmt.Errorf("reading transcripts: %w", err)
	}
	defer msgs.Stop()
	for ; left > 0; left-- {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading transcripts: %w", err)
		}
		if err := r.hand(m, each); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// hand passes an entry on if it belongs to the range.
func (r Range) hand(m jetstream.Msg, each func(Message) (bool, error)) error {
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("reading transcripts: %w", err)
	}
	msg, ok := parse(m.Data(), meta.Sequence.Stream)
	if !ok || msg.Seq < r.FromSeq || meta.Timestamp.Before(r.Since) {
		return nil
	}
	more, err := each(msg)
	if err == nil && !more {
		err = errEnough
	}
	return err
}
