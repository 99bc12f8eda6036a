// Package stream follows one stream's frames: it detects speech, records each boundary
// before it acts on it, and hands segments to the recogniser.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/segmenter"
)

const (
	sampleRateHz = 16000
	frame        = segmenter.FrameSamples
	version      = 1
	restAfter    = 10 * sampleRateHz
)

// ErrTaken says that another process has written the stream's checkpoint.
var ErrTaken = errors.New("the stream is held by another process")

// Detector gives the probability of speech of a frame of 512 samples in -1 to 1.
type Detector interface {
	Probability(frame []float32) (float32, error)
	State() []byte
	SetState(state []byte) error
	Reset()
}

// Stream is the state of one stream. For one goroutine.
type Stream struct {
	id       string
	cfg      *config.Config
	pauses   Pauses
	bus      *bus.Bus
	log      *slog.Logger
	metrics  *obs.Metrics
	detector Detector
	hold     Hold

	cp       *rtapv1.Checkpoint
	revision uint64

	seg        *segmenter.Segmenter
	epoch      uint64
	next       uint64 // frame
	clock      *rtapv1.Clock
	floats     []float32
	early      early
	again      bool // what comes of the epoch may have been heard in the one before
	gapMS      uint32
	text       draft
	spec       *speculation // nil while there is none
	awaited    []awaited
	results    <-chan *rtapv1.DraftResult
	stop       func()
	level      level
	loudness   loudness
	quality    quality
	interims   refusals
	drafting   refusals // of speculative drafts
	tempo      tempo
	lastFrames []timedFrame // clocks of recent frames, to find when speech ended
	history    *history
	recalling  bool // history is read again
}

// New loads the stream's checkpoint and settles what its last boundary left open. Close
// ends what it has begun. hold is told of waiting for room in RTAP_JOBS.
func New(ctx context.Context, id string, cfg *config.Config, b *bus.Bus, log *slog.Logger, m *obs.Metrics, d Detector, hold Hold) (*Stream, error) {
	s := &Stream{id: id, cfg: cfg, pauses: PausesOf(cfg), bus: b, log: log.With("stream_id", id), metrics: m, detector: d, hold: hold, floats: make([]float32, frame)}
	var err error
	if s.cp, s.revision, err = b.LoadCheckpoint(ctx, id); err != nil {
		return nil, err
	}
	if s.results, s.stop, err = b.DraftResults(id); err != nil {
		return nil, err
	}
	if s.cp == nil {
		highest, err := b.HighestOrdinal(ctx, id)
		if err != nil {
			s.stop()
			return nil, err
		}
		s.cp = &rtapv1.Checkpoint{Version: version, StreamId: id, Ordinal: highest}
		return s, nil
	}
	if err := s.settle(ctx); err != nil {
		s.stop()
		return nil, err
	}
	s.epoch, s.next, s.clock = s.cp.GetEpoch(), s.cp.GetNextFrame(), s.cp.GetHeardAt()
	s.restart(s.restore())
	s.recall()
	if s.cp.GetVersion() != version || s.detector.SetState(s.cp.GetModelState()) != nil {
		s.detector.Reset()
	}
	return s, nil
}

// Close ends the stream's part in the bus.
func (s *Stream) Close() {
	s.giveUpWaiting()
	s.stop()
}

// samples of whole frames that a time takes.
func (s *Stream) samples(ms int) int { return (ms*sampleRateHz/1000 + frame - 1) / frame * frame }

func (s *Stream) segmentID(ordinal uint64) string {
	return fmt.Sprintf("%s-%d-%d", s.id, s.epoch, ordinal)
}

// Ended says that the newest known epoch is complete.
func (s *Stream) Ended() bool { return s.cp.GetEnded() }

func (s *Stream) restart(from segmenter.State) {
	v := s.cfg.VAD
	s.seg = segmenter.New(segmenter.Config{
		Onset: v.OnsetThreshold, Offset: v.OffsetThreshold, PreRoll: s.samples(v.PreRollMS), Hangover: s.samples(s.pauses.HangoverMS),
		Tail: s.samples(s.pauses.TailMS), MinSpeech: s.samples(v.MinSpeechMS), MaxSegment: v.MaxSegmentMS * sampleRateHz / 1000 / frame * frame,
		UtteranceEnd: s.samples(s.pauses.UtteranceEndMS), RestAfter: restAfter,
	}, from)
	s.recalling, s.interims, s.drafting = false, refusals{}, refusals{}
	s.lastFrames, s.history, s.text = nil, &history{limit: s.samples(s.cfg.STT.ContextMS)}, draft{}
}

// Take handles one stored frame. Repeats and lower epochs are dropped; what comes before
// its turn waits for it.
func (s *Stream) Take(ctx context.Context, f *rtapv1.Frame) error {
	switch {
	case f.GetEpoch() < s.epoch, f.GetEpoch() == s.epoch && (f.GetFrame() < s.next || s.cp.GetEnded()):
		if f.GetEpoch() == s.epoch {
			s.remember(f)
		}
		return nil
	case f.GetEpoch() > s.epoch:
		if err := s.newEpoch(ctx, f); err != nil {
			return err
		}
	}
	if f.GetFrame() > s.next {
		s.early.add(f)
	} else if err := s.take(ctx, f); err != nil {
		return err
	}
	return s.inOrder(ctx, s.ring())
}

// take handles a frame whose turn it is; what is missing before it is lost.
func (s *Stream) take(ctx context.Context, f *rtapv1.Frame) error {
	s.recalled()
	if s.again = s.again && !f.GetEnd() && s.heardAlready(f); s.again {
		s.pass(f)
		return nil
	}
	if f.GetFrame() > s.next || f.GetGapMs() > 0 {
		if err := s.gap(ctx, f); err != nil {
			return err
		}
	}
	s.next = f.GetFrame() + 1
	if f.GetClock() != nil { // an end frame of which nothing was recorded has none
		s.clock = f.GetClock()
	}
	if pcm := samples(f.GetPcm()); len(pcm) > 0 {
		if err := s.hear(ctx, pcm); err != nil {
			return err
		}
	}
	if f.GetFinalize() {
		if err := s.finalize(ctx); err != nil {
			return err
		}
	}
	if f.GetEnd() {
		if err := s.flush(ctx, "end_of_stream"); err != nil {
			return err
		}
		if err := s.end(ctx); err != nil {
			return err
		}
	}
	s.metrics.FramesProcessed.WithLabelValues("vad").Inc()
	return nil
}

// Idle closes what is open when no frame has come for as long as capture's ring is.
func (s *Stream) Idle(ctx context.Context) error {
	if s.seg == nil || s.cp.GetEnded() {
		return nil
	}
	if err := s.inOrder(ctx, 0); err != nil || s.cp.GetEnded() {
		return err
	}
	return s.act(ctx, s.seg.Interrupt("gap"))
}

// gap takes note of audio that is lost before a frame: a segment does not go on over it.
func (s *Stream) gap(ctx context.Context, f *rtapv1.Frame) error {
	if err := s.flush(ctx, "gap"); err != nil {
		return err
	}
	missing := uint32((f.GetFrame() - s.next) * frame * 1000 / sampleRateHz)
	missing = max(missing, f.GetGapMs())
	s.gapMS += missing
	s.log.Warn("audio is missing", "epoch", s.epoch, "frame", s.next, "next_frame", f.GetFrame(), "gap_ms", missing, "reason", f.GetGapReason())
	s.metrics.Errors.WithLabelValues("vad", "gap").Inc()
	s.gapEvent(missing, f)
	s.detector.Reset()
	s.restart(fresh(f.GetFrame()))
	return nil
}
