// Package stream follows one stream's frames: it detects speech, records each boundary
// before it acts on it, and hands segments to the recogniser.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
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
	results    <-chan *rtapv1.DraftResult
	stop       func()
	level      level
	loudness   loudness
	quality    quality
	lastFrames []timedFrame // clocks of recent frames, to find when speech ended
	history    *history
	recalling  bool // history is read again
}

type timedFrame struct {
	end   int
	clock *rtapv1.Clock
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
func (s *Stream) Close() { s.stop() }

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
	s.recalling = false
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
	if s.again = s.again && f.GetAgain() && !f.GetEnd() && s.clock != nil && !clock.Later(s.clock, f.GetClock()); s.again {
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
				s.abandon("dropped_segment")
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
