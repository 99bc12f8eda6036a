package stream

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/segmenter"
)

type timedFrame struct {
	end   int
	clock *rtapv1.Clock
}

// hear takes a frame's audio: is it speech, and what follows from that.
func (s *Stream) hear(ctx context.Context, pcm []int16) error {
	for i := range s.floats {
		s.floats[i] = 0
		if i < len(pcm) {
			s.floats[i] = float32(pcm[i]) / 32768
		}
	}
	began := time.Now()
	p, err := s.detector.Probability(s.floats)
	if err != nil {
		return err
	}
	s.measure(pcm, p)
	s.watch(pcm, p)
	s.notes()
	if s.seg.IsOpen() && s.loudness.silent(pcm, float64(p), s.cfg.VAD.OnsetThreshold, s.cfg.VAD.DropDB) {
		p = 0
	}
	decisions := s.seg.Push(float64(p), pcm)
	// What follows a decision waits for the bus, and for drafts.
	s.metrics.StageLatency.WithLabelValues("vad").Observe(time.Since(began).Seconds())
	if len(decisions) == 0 {
		decisions = s.eager()
	}
	if len(decisions) > 0 && decisions[0].Kind == segmenter.Started {
		s.loudness.begin(pcm)
	}
	s.history.add(pcm, s.seg.At())
	s.tempo.hear(s.clock, len(pcm))
	s.lastFrames = append(s.lastFrames, timedFrame{s.seg.At(), s.clock})
	if keep := s.pauses.HangoverMS/32 + 64; len(s.lastFrames) > 2*keep {
		s.lastFrames = append([]timedFrame(nil), s.lastFrames[len(s.lastFrames)-keep:]...)
	}
	if err := s.act(ctx, decisions); err != nil {
		return err
	}
	s.drafts()
	return nil
}

func (s *Stream) flush(ctx context.Context, reason string) error {
	return s.act(ctx, s.seg.Flush(reason))
}

// act does what the segmenter has decided.
func (s *Stream) act(ctx context.Context, decisions []segmenter.Decision) error {
	for _, d := range decisions {
		var err error
		switch d.Kind {
		case segmenter.Started:
			s.text.begin(d.Start)
			s.event("started", "SpeechStarted", d.Start)
		case segmenter.Closed:
			s.event("stopped", "SpeechStopped", d.SpeechEnd)
			err = s.segment(ctx, d)
			s.text.begin(s.seg.At()) // a forced cut leaves the next one open
		case segmenter.Dropped:
			s.event("stopped", "SpeechStopped", d.SpeechEnd)
			s.metrics.Shed.WithLabelValues("short_speech").Inc()
			if s.spec != nil {
				s.abandon(obs.SpeculationShort)
			}
		case segmenter.UtteranceEnd:
			err = s.marker(ctx, rtapv1.Boundary_KIND_UTTERANCE_END, d)
		case segmenter.Rest:
			err = s.store(ctx, &rtapv1.Boundary{Kind: rtapv1.Boundary_KIND_SILENCE})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// heardAt returns when the frame that ends at a sample was captured.
func (s *Stream) heardAt(sample int) *rtapv1.Clock {
	for i := len(s.lastFrames) - 1; i >= 0; i-- {
		if s.lastFrames[i].end <= sample {
			return s.lastFrames[i].clock
		}
	}
	return clock.Add(s.clock, -time.Duration(s.seg.At()-sample)*time.Second/sampleRateHz)
}
