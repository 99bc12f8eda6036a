package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/publish"
	"github.com/rtap/rtap/services/capture/internal/soxr"
)

// run publishes one input until it ends and vad has taken its end.
func run(ctx context.Context, rt *service.Runtime, in input) error {
	defer in.close()
	id := in.stream()
	log := rt.Log.With("stream_id", id)
	var epoch uint64
	if !bus.Retry(ctx, log, "choosing an epoch", func() (err error) { epoch, err = rt.Bus.NewEpoch(ctx, id); return err }) {
		return ctx.Err()
	}
	resample, err := soxr.New(in.rateHz(), framer.SampleRateHz)
	if err != nil {
		return err
	}
	defer resample.Close()
	ring := rt.Config.Audio.RingBufferSizeMS * framer.SampleRateHz / 1000 / framer.Samples
	s := &sink{
		rt: rt, fr: framer.New(id, in.name(), epoch), pub: publish.New(id, ring, rt.Bus, log, rt.Metrics),
		fast: in.fast(), stream: id, epoch: epoch,
	}
	log.Info("source started", "source", in.name(), "epoch", epoch, "rate_hz", in.rateHz())
	announce(rt, id, "source started", rtapv1.ServiceEvent_SEVERITY_INFO)
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

type sink struct {
	rt     *service.Runtime
	fr     *framer.Framer
	pub    *publish.Publisher
	fast   bool
	stream string
	epoch  uint64
	taken  uint64 // frames that vad's checkpoint has passed
}

func (s *sink) send(ctx context.Context, frames []*rtapv1.Frame) error {
	for _, f := range frames {
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
	stopped := ctx.Err() != nil
	if stopped {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.rt.Config.ShutdownTimeout/2)
		defer cancel()
	}
	if in.rateHz() != framer.SampleRateHz {
		if rest, err := resample.Push(nil); err == nil {
			if err := s.send(ctx, s.fr.Push(rest, clock.Now())); err != nil {
				return err
			}
		}
	}
	if err := s.send(ctx, []*rtapv1.Frame{s.fr.End(clock.Now())}); err != nil {
		return err
	}
	if err := s.pub.Flush(ctx); err != nil {
		return err
	}
	if !stopped && !errors.Is(cause, io.EOF) {
		announce(s.rt, s.stream, cause.Error(), rtapv1.ServiceEvent_SEVERITY_ERROR)
		return lifecycle.Usage(fmt.Errorf("%s: %w", in.name(), cause))
	}
	announce(s.rt, s.stream, "source ended", rtapv1.ServiceEvent_SEVERITY_INFO)
	s.rt.Log.Info("source ended", "stream_id", s.stream, "source", in.name())
	if stopped {
		return ctx.Err()
	}
	for {
		cp, _, err := s.rt.Bus.LoadCheckpoint(ctx, s.stream)
		if err == nil && cp.GetEpoch() >= s.epoch && cp.GetEnded() {
			return nil
		}
		// A server that crashed may have lost the end although it acknowledged it.
		if err := s.pub.Refresh(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func announce(rt *service.Runtime, stream, message string, severity rtapv1.ServiceEvent_Severity) {
	rt.Emit("source", severity, message, func(e *rtapv1.ServiceEvent) { e.StreamId = stream })
}
