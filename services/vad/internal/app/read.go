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
			err = s.Take(ctx, frame)
			idle.Reset(quiet) // it may have waited for room in RTAP_JOBS
		case <-idle.C:
			// A cluster that chooses a leader takes longer than a ring: then it is the server that
			// is silent, and what the source says meanwhile belongs to the open segment.
			if f.rt.Bus.Answers(ctx, bus.StreamAudio) {
				err = s.Idle(ctx)
			}
			idle.Reset(quiet)
		}
		if err != nil {
			return 0, err
		}
		if now, _ := s.Position(); s.Ended() && (now > epoch || !over) {
			return now, nil
		}
	}
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
