package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/publish"
	"github.com/rtap/rtap/services/capture/internal/soxr"
)

const (
	// refreshEvery is how often a source that has nothing to send looks whether the server
	// has lost something.
	refreshEvery = 100 * time.Millisecond
	// endEvery is how often vad's checkpoint is looked at behind a source's last frame.
	endEvery = 100 * time.Millisecond
)

// run publishes one input, while this process holds its stream's lease, until the input
// ends and vad has taken its end.
func run(ctx context.Context, rt *service.Runtime, in input, shown func(held bool)) error {
	defer in.close()
	found, err := findings(ctx, rt, in)
	if err != nil {
		return err
	}
	keeper := rt.Lease(lease.Capture(in.stream()))
	if in.live() {
		l := newLive(rt, in, keeper)
		recording := make(chan struct{})
		recorder, stop := context.WithCancel(ctx)
		defer func() { stop(); <-recording }()
		go func() { defer close(recording); l.record(recorder) }()
		return l.keep(ctx, shown)
	}
	return keeper.Keep(ctx, func(ctx context.Context, _ lease.Token) error {
		shown(true)
		defer shown(false)
		return patient(ctx, rt, in, found)
	})
}

// ending is a context for the last things a source has to send when the process is told
// to stop; lost says that there is nothing to send because the stream is another's now.
func ending(ctx context.Context, rt *service.Runtime) (last context.Context, cancel func(), lost bool) {
	if ctx.Err() == nil {
		return ctx, func() {}, false
	}
	last, cancel = context.WithTimeout(context.WithoutCancel(ctx), rt.Config.ShutdownTimeout/2)
	return last, cancel, errors.Is(context.Cause(ctx), lease.ErrLost)
}

// patient publishes an input that waits: what is not read now can be read later. It begins
// where the stored frames end.
func patient(ctx context.Context, rt *service.Runtime, in input, found *found) error {
	var at where
	for {
		again := rt.Bus.Reconnected()
		var err error
		if at, err = position(ctx, rt, in, found); err != nil {
			return err
		}
		failpoint.At("capture/positioned")
		if !at.done {
			break
		}
		// Whose end a predecessor stored. A server that dies may lose it.
		if gone, err := taken(ctx, rt, in, at.epoch, nil, again); !gone {
			return err
		}
	}
	found.own = at.epoch
	if err := in.rewind(at.burst); err != nil {
		return lifecycle.Usage(err)
	}
	resample, err := soxr.New(in.rateHz(), framer.SampleRateHz)
	if err != nil {
		return err
	}
	defer resample.Close()
	s := &sink{
		rt: rt, fr: framer.New(in.stream(), in.name(), rt.RunID, at.epoch), from: at.frame, fast: in.fast(), stream: in.stream(), epoch: at.epoch,
		pub: publish.New(in.stream(), ringFrames(rt), rt.Bus, rt.Log, rt.Metrics),
	}
	s.begin(in)
	for {
		pcm, captured, lost, err := in.read(ctx)
		if err != nil {
			return s.finish(ctx, in, resample, err)
		}
		if lost > 0 {
			s.fr.Gap(lost, "overrun")
		}
		if in.rateHz() != framer.SampleRateHz && len(pcm) > 0 {
			if pcm, err = resample.Push(pcm); err != nil {
				return err
			}
		}
		if err := s.send(ctx, s.fr.Push(pcm, captured)); err != nil {
			return err
		}
	}
}

func ringFrames(rt *service.Runtime) int {
	return rt.Config.Audio.RingBufferSizeMS * framer.SampleRateHz / 1000 / framer.Samples
}

// sink sends the frames of an input that waits.
type sink struct {
	rt     *service.Runtime
	fr     *framer.Framer
	pub    *publish.Publisher
	fast   bool
	stream string
	epoch  uint64
	from   uint64 // frames before it are stored, or were heard
	taken  uint64 // frames that vad's checkpoint has passed
}

func (s *sink) begin(in input) {
	s.rt.Log.Info("source started", "stream_id", s.stream, "source", in.name(), "epoch", s.epoch, "frame", s.from, "rate_hz", in.rateHz())
	announce(s.rt, s.stream, "source started", rtapv1.ServiceEvent_SEVERITY_INFO)
}

func (s *sink) send(ctx context.Context, frames []*rtapv1.Frame) error {
	for _, f := range frames {
		if f.GetFrame() < s.from {
			s.pub.Remember(f)
			continue
		}
		if err := s.pace(ctx, f.GetFrame()); err != nil {
			return err
		}
		if err := s.pub.Send(ctx, f); err != nil {
			return err
		}
		if f.GetFrame() == 0 {
			announce(s.rt, s.stream, "first frame stored", rtapv1.ServiceEvent_SEVERITY_INFO)
		}
	}
	return nil
}

// pace keeps a fast source within audio.fast_lead_ms of vad's checkpoint.
func (s *sink) pace(ctx context.Context, frame uint64) error {
	lead := uint64(s.rt.Config.Audio.FastLeadMS * framer.SampleRateHz / 1000 / framer.Samples)
	for s.fast && frame >= s.taken+lead {
		if err := s.pub.Flush(ctx); err != nil {
			return err
		}
		if err := s.pub.Refresh(ctx); err != nil {
			return err
		}
		cp, _, err := s.rt.Bus.LoadCheckpoint(ctx, s.stream)
		if err == nil && cp.GetEpoch() == s.epoch {
			s.taken = cp.GetNextFrame()
		}
		if frame < s.taken+lead {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// finish sends the end frame after the input's end and waits until vad has taken it.
func (s *sink) finish(ctx context.Context, in input, resample *soxr.Resampler, cause error) error {
	last, cancel, lost := ending(ctx, s.rt)
	defer cancel()
	if lost {
		return ctx.Err()
	}
	if in.rateHz() != framer.SampleRateHz {
		if rest, err := resample.Push(nil); err == nil {
			if err := s.send(last, s.fr.Push(rest, clock.Now())); err != nil {
				return err
			}
		}
	}
	if err := s.send(last, []*rtapv1.Frame{s.fr.End(clock.Now())}); err != nil {
		return err
	}
	if err := s.pub.Flush(last); err != nil {
		return err
	}
	return ended(ctx, s.rt, in, s.epoch, s.pub, cause)
}

// ended tells that a source has ended, and waits until vad has taken its end.
func ended(ctx context.Context, rt *service.Runtime, in input, epoch uint64, pub *publish.Publisher, cause error) error {
	if ctx.Err() == nil && !errors.Is(cause, io.EOF) {
		announce(rt, in.stream(), cause.Error(), rtapv1.ServiceEvent_SEVERITY_ERROR)
		return lifecycle.Usage(fmt.Errorf("%s: %w", in.name(), cause))
	}
	announce(rt, in.stream(), "source ended", rtapv1.ServiceEvent_SEVERITY_INFO)
	rt.Log.Info("source ended", "stream_id", in.stream(), "source", in.name())
	_, err := taken(ctx, rt, in, epoch, pub, nil)
	return err
}

// taken waits until vad has taken an epoch's end. Until then frames that the server loses
// are sent again; without pub there are none, and gone says that again was closed.
func taken(ctx context.Context, rt *service.Runtime, in input, epoch uint64, pub *publish.Publisher, again <-chan struct{}) (gone bool, err error) {
	for ctx.Err() == nil {
		if pub != nil {
			if err := pub.Refresh(ctx); err != nil {
				return false, err
			}
		}
		cp, _, err := rt.Bus.LoadCheckpoint(ctx, in.stream())
		if err == nil && cp.GetEpoch() >= epoch && (cp.GetEnded() || cp.GetEpoch() > epoch) {
			return false, nil
		}
		select {
		case <-ctx.Done():
		case <-again:
			return true, nil
		case <-time.After(endEvery):
		}
	}
	return false, ctx.Err()
}

func announce(rt *service.Runtime, stream, message string, severity rtapv1.ServiceEvent_Severity) {
	rt.Emit("source", severity, message, func(e *rtapv1.ServiceEvent) { e.StreamId = stream })
}
