package rig

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Logged is an entry of a transcript log, and when it was stored.
type Logged struct {
	wire.Entry
	At time.Time
}

// Finals reads a stream's transcript log from the server.
func (r *Rig) Finals(ctx context.Context, stream string) (out []Logged, err error) {
	err = r.read(ctx, bus.StreamTranscripts, bus.Final(stream), func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		e, err := wire.ParseEntry(m.Data())
		out = append(out, Logged{e, meta.Timestamp})
		return err
	})
	return out, err
}

// Dead counts the segments of a stream that ended without a text and without being empty.
func (r *Rig) Dead(ctx context.Context, stream string) (n int, err error) {
	err = r.read(ctx, bus.StreamEvents, bus.Event("egress", "segment_dead"), func(m jetstream.Msg) error {
		e := &rtapv1.ServiceEvent{}
		if err := wire.UnmarshalJSON(m.Data(), e); err != nil {
			return err
		}
		if e.GetStreamId() == stream {
			n++
		}
		return nil
	})
	return n, err
}

// read gives all that is stored on a subject. A cluster that has just lost its leader is
// asked again.
func (r *Rig) read(ctx context.Context, stream, subject string, each func(jetstream.Msg) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		all, err := r.stored(ctx, stream, subject)
		if err == nil {
			for _, m := range all {
				if err := each(m); err != nil {
					return fmt.Errorf("reading %s: %w", stream, err)
				}
			}
			return nil
		}
		r.Note("reading %s: %v", stream, err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("reading %s: %w", stream, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func (r *Rig) stored(ctx context.Context, stream, subject string) (all []jetstream.Msg, err error) {
	c, err := r.Bus.JS().OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return nil, err
	}
	info, err := c.Info(ctx)
	if err != nil {
		return nil, err
	}
	for n := info.NumPending; n > 0; n-- {
		m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}
