// Package publish stores a stream's frames in RTAP_AUDIO, in order and without holes.
package publish

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/failpoint"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

const (
	ackWait = 2 * time.Second
	// window bounds the frames that wait for their acknowledgement.
	window = 64
	// Unsure is how many of the newest stored frames may have holes between them that whoever sent them could not fill.
	Unsure = 2 * window
	// frameMS is the length of a frame.
	frameMS = 32
)

// Publisher keeps the newest frames whatever was acknowledged: an acknowledgement of the
// audio stream is not durability, so after a reconnection what the server lacks is sent
// again. For one goroutine.
type Publisher struct {
	stream  string
	bus     *bus.Bus
	log     *slog.Logger
	metrics *obs.Metrics
	ring    []*rtapv1.Frame
	size    int
	pending []pending
	again   <-chan struct{}
	acked   uint64 // frames before it were acknowledged once
}

type pending struct {
	frame uint64
	ack   jetstream.PubAckFuture
}

// New keeps ringFrames frames for resending.
func New(stream string, ringFrames int, b *bus.Bus, log *slog.Logger, m *obs.Metrics) *Publisher {
	return &Publisher{stream: stream, bus: b, log: log, metrics: m, size: max(ringFrames, window+1), again: b.Reconnected()}
}

// Send stores a frame. It blocks while the window is full or the server is away.
func (p *Publisher) Send(ctx context.Context, f *rtapv1.Frame) error {
	p.ring = append(p.ring, f)
	if len(p.ring) > p.size {
		p.ring = append([]*rtapv1.Frame(nil), p.ring[len(p.ring)-p.size:]...)
	}
	select {
	case <-p.again:
		return p.resend(ctx, true)
	default:
	}
	if err := p.publish(f); err != nil {
		return p.resend(ctx, false)
	}
	p.metrics.FramesProcessed.WithLabelValues("capture").Inc()
	for len(p.pending) >= window {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Flush waits until everything is acknowledged.
func (p *Publisher) Flush(ctx context.Context) error {
	for len(p.pending) > 0 {
		if err := p.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) publish(f *rtapv1.Frame) error {
	data, err := proto.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding a frame: %w", err)
	}
	msg := &nats.Msg{Subject: bus.Audio(p.stream), Data: data, Header: nats.Header{wire.ContentTypeHeader: {wire.Protobuf}}}
	ack, err := p.bus.JS().PublishMsgAsync(msg)
	if err != nil {
		return fmt.Errorf("publishing a frame: %w", err)
	}
	p.pending = append(p.pending, pending{f.GetFrame(), ack})
	failpoint.At("capture/published")
	return nil
}

// settle waits for the oldest acknowledgement.
func (p *Publisher) settle(ctx context.Context) error {
	oldest := p.pending[0]
	select {
	case <-oldest.ack.Ok():
		p.bus.NoteWrite(bus.Audio(p.stream), nil)
		p.pending, p.acked = p.pending[1:], oldest.frame+1
		failpoint.At("capture/acknowledged")
		return nil
	case err := <-oldest.ack.Err():
		p.bus.NoteWrite(bus.Audio(p.stream), err)
		p.log.Warn("a frame was not stored", "stream_id", p.stream, "frame", oldest.frame, "error", err)
		return p.resend(ctx, false)
	case <-p.again:
		return p.resend(ctx, true)
	case <-time.After(ackWait):
		return p.resend(ctx, false)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resend asks the server for the newest stored frame and goes on after it, but not above
// the oldest frame that was never acknowledged. With all set the whole ring goes again: the
// server may have died, and frames that were sent before this process knew of it hide the
// ones that it lost. Who reads drops repeats.
func (p *Publisher) resend(ctx context.Context, all bool) error {
	from := uint64(1<<63 - 1)
	for _, w := range p.pending {
		from = min(from, w.frame)
	}
	ok := bus.Retry(ctx, p.log, "sending frames again", func() error {
		select {
		case <-p.again:
			all = true
		default:
		}
		p.again = p.bus.Reconnected()
		p.pending = nil
		last, err := p.bus.LastFrame(ctx, p.stream)
		if err != nil {
			return err
		}
		stored := uint64(0)
		if last != nil && last.GetEpoch() == p.ring[len(p.ring)-1].GetEpoch() {
			stored = last.GetFrame() + 1
		}
		from = min(from, stored)
		if oldest := p.ring[0].GetFrame(); from < oldest {
			p.overrun(oldest, from)
			from = oldest
		} else if all {
			from = oldest
		}
		for _, f := range p.ring {
			if f.GetFrame() < from {
				continue
			}
			if err := p.publish(f); err != nil {
				return err
			}
			failpoint.At("capture/resending")
		}
		err = p.acknowledged(ctx)
		p.bus.NoteWrite(bus.Audio(p.stream), err)
		if err == nil {
			p.pending = nil
		}
		return err
	})
	if !ok {
		return ctx.Err()
	}
	return nil
}

// acknowledged waits for the server's word on all that is under way.
func (p *Publisher) acknowledged(ctx context.Context) error {
	for _, w := range p.pending {
		select {
		case <-w.ack.Ok():
			p.acked = max(p.acked, w.frame+1)
		case err := <-w.ack.Err():
			return err
		case <-time.After(ackWait):
			return context.DeadlineExceeded
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// overrun marks that frames from one on to the oldest in the ring are neither stored nor
// there any more. What was acknowledged once was heard, whatever the server has now.
func (p *Publisher) overrun(oldest, from uint64) {
	lost := oldest - min(oldest, max(from, p.acked))
	if lost == 0 {
		p.log.Warn("the server has come back without audio that it had stored; sending what is in the ring again", "stream_id", p.stream)
	} else {
		p.log.Error("the outage was longer than the ring buffer; audio is lost", "stream_id", p.stream,
			"frames", lost, "key", "audio.ring_buffer_size_ms")
		p.metrics.Errors.WithLabelValues("capture", "ring_overrun").Inc()
	}
	p.ring[0].GapMs = max(1, uint32(lost*frameMS))
	p.ring[0].GapReason = "outage"
}
