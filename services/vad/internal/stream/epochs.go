package stream

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// newEpoch ends what is open of the epoch before, of which nothing will come any more.
func (s *Stream) newEpoch(ctx context.Context, f *rtapv1.Frame) error {
	if s.seg != nil && !s.cp.GetEnded() {
		if err := s.inOrderUntil(ctx, f); err != nil {
			return err
		}
		if err := s.act(ctx, s.seg.Break("epoch")); err != nil {
			return err
		}
	}
	// Cut just now or, without a frame of audio since, by a predecessor or before the end.
	open := s.seg != nil && s.seg.IsOpen()
	s.log.Info("stream begins", "epoch", f.GetEpoch(), "frame", f.GetFrame(), "source", f.GetSource())
	s.epoch, s.next, s.early, s.again, s.tempo = f.GetEpoch(), 0, early{}, true, tempo{}
	if f.GetGapMs() > 0 {
		s.next = f.GetFrame() // capture has nothing from before
	}
	s.cp.Ended = false
	s.detector.Reset()
	state := fresh(s.next)
	// The rest of a word, however short; or nothing, of a source that ended before its first frame.
	// A gap before what was heard already is none.
	state.Cut = open && (f.GetAgain() || f.GetEnd()) && (f.GetGapMs() == 0 || s.heardAlready(f))
	s.restart(state)
	return nil
}

// inOrderUntil takes what came early of an epoch when another one begins with f, and what
// is missing of it is lost, up to where the new one has all of it once more.
func (s *Stream) inOrderUntil(ctx context.Context, f *rtapv1.Frame) error {
	begins := clock.Add(f.GetClock(), -time.Duration((f.GetFrame()+1)*frame)*time.Second/sampleRateHz)
	for len(s.early.frames) > 0 {
		if f.GetAgain() && s.clock != nil && !clock.Later(s.clock, begins) {
			break
		}
		next := s.early.lowest()
		s.early.take(next.GetFrame())
		if err := s.take(ctx, next); err != nil {
			return err
		}
	}
	s.early = early{}
	return nil
}

// heardAlready says whether what is said again is of a moment that was heard in the epoch before.
func (s *Stream) heardAlready(f *rtapv1.Frame) bool {
	return f.GetAgain() && s.clock != nil && !clock.Later(s.clock, f.GetClock())
}

// pass drops a frame at the beginning of an epoch, of a moment that was heard in the one
// before. (Later on stamps may step back a little: what a device delivers in one burst is
// stamped from its end.)
func (s *Stream) pass(f *rtapv1.Frame) {
	s.next = f.GetFrame() + 1
	state := fresh(s.next)
	state.Cut = s.seg.State().Cut
	s.restart(state)
}
