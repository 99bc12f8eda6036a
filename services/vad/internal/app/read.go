package app

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/stream"
	"google.golang.org/protobuf/proto"
)

// inactive is when the server removes a consumer that nobody reads: stopping leaves it there,
// and a stream may have a thousand.
const inactive = 30 * time.Second

// frameSamples is the number of samples in a frame.
const frameSamples = 512

// Detector is a stream's own, to be closed after use.
type Detector interface {
	stream.Detector
	Close() error
}

// once reads a stream from its checkpoint on; what that has passed is dropped by number.
// It returns the epoch at the end of the stream, and 0 at every reconnection: the server
// may have lost what was read, and has it again later.
func (f *follower) once(ctx context.Context, id string) (ended uint64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reconnected := f.rt.Bus.Reconnected()
	detector, err := f.detect()
	if err != nil {
		return 0, err
	}
	defer func() { _ = detector.Close() }()
	s, err := stream.New(ctx, id, f.rt.Config, f.rt.Bus, f.rt.Log, f.rt.Metrics, detector, f.held.note)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	epoch, frame := s.Position()
	over := s.Ended() // with that epoch; what may come is the next one
	if over {
		last, err := f.rt.Bus.LastFrame(ctx, id)
		if err != nil || last.GetEpoch() <= epoch {
			return epoch, err
		}
	}
	frames, stop, err := f.frames(ctx, id, epoch, frame)
	if err != nil {
		return 0, err
	}
	defer func() { cancel(); stop() }()
	newest := place{epoch, frame}
	quiet := time.Duration(f.rt.Config.Audio.RingBufferSizeMS) * time.Millisecond
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	for {
		f.rt.Metrics.BufferUtilization.WithLabelValues("vad").Set(float64(len(frames)) / float64(cap(frames)))
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-reconnected:
			return 0, nil
		case frame := <-frames:
			s.SetPauses(f.pauses())
			newest.see(frame)
			err = s.Take(ctx, frame)
			idle.Reset(quiet) // it may have waited for room in RTAP_JOBS
		case <-idle.C:
			wait := quiet
			if len(frames) == 0 {
				var silent bool
				if silent, wait = f.silent(ctx, id, newest, quiet); wait == 0 {
					return 0, nil
				}
				if silent {
					err = s.Idle(ctx)
				}
			}
			idle.Reset(wait)
		}
		if err != nil {
			return 0, err
		}
		if now, _ := s.Position(); s.Ended() && (now > epoch || !over) {
			return now, nil
		}
	}
}

// place is behind a frame of a stream.
type place struct{ epoch, next uint64 }

func (p *place) see(f *rtapv1.Frame) {
	if f.GetEpoch() > p.epoch || f.GetEpoch() == p.epoch && f.GetFrame() >= p.next {
		p.epoch, p.next = f.GetEpoch(), f.GetFrame()+1
	}
}

// silent says whether it is the source that has been silent for as long as a ring is, so that
// what is open ends here, and when to ask again; at once, with a reader that is made anew, when
// frames are stored that the present one does not bring.
//
// A cluster that chooses a leader takes longer than a ring: then it is the server that is silent,
// and what the source says meanwhile belongs to the open segment. Capture sends that when there is
// a leader, which it notices within seconds, so it has a ring's time from then on.
func (f *follower) silent(ctx context.Context, id string, newest place, quiet time.Duration) (silent bool, wait time.Duration) {
	led, ok := f.rt.Bus.Led(ctx, bus.StreamAudio)
	if !ok {
		return false, quiet
	}
	if led < quiet {
		return false, quiet - led
	}
	last, err := f.rt.Bus.LastFrame(ctx, id)
	if err != nil {
		return false, quiet
	}
	if before := newest; last != nil {
		if newest.see(last); newest != before {
			f.rt.Log.Warn("the server does not deliver what it has stored, reading anew", "stream_id", id, "epoch", last.GetEpoch(), "frame", last.GetFrame())
			return false, 0
		}
	}
	return true, quiet
}

// frames reads a stream's frames from one on.
func (f *follower) frames(ctx context.Context, id string, epoch, frame uint64) (<-chan *rtapv1.Frame, func(), error) {
	// Where capture's ring was sent again, and the end of that was lost with a server, the
	// first copy holds more than the second.
	ring := uint64(f.rt.Config.Audio.RingBufferSizeMS*16/frameSamples) + 1
	from, err := f.rt.Bus.AudioFrom(ctx, id, epoch, max(frame, ring)-ring)
	if err != nil {
		return nil, nil, err
	}
	c, err := f.rt.Bus.JS().OrderedConsumer(ctx, bus.StreamAudio, jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.Audio(id)}, InactiveThreshold: inactive, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	})
	if err != nil {
		return nil, nil, err
	}
	frames := make(chan *rtapv1.Frame, 64)
	consuming, err := c.Consume(func(msg jetstream.Msg) {
		frame := &rtapv1.Frame{}
		if err := proto.Unmarshal(msg.Data(), frame); err != nil {
			f.rt.Metrics.Errors.WithLabelValues("vad", "bad_frame").Inc()
			return
		}
		select {
		case frames <- frame:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return nil, nil, err
	}
	return frames, func() { consuming.Stop(); <-consuming.Closed() }, nil
}
