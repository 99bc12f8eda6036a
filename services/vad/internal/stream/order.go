package stream

import (
	"context"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// maxEarly bounds the frames that are held back, far above what a ring sends in its time
// unless a source is played fast.
const maxEarly = 8192

// early holds frames that came before one that is still missing. The missing one may have
// been refused, or lost with a server, and is then sent again: it is given up when capture
// says that it has lost audio, or when it cannot be in capture's ring any more.
type early struct {
	frames map[uint64]*rtapv1.Frame
	since  time.Time
}

func (e *early) add(f *rtapv1.Frame) {
	if e.frames == nil {
		e.frames = map[uint64]*rtapv1.Frame{}
	}
	if len(e.frames) == 0 {
		e.since = time.Now()
	}
	e.frames[f.GetFrame()] = f
}

// take removes and returns the frame of a number, if it is there.
func (e *early) take(number uint64) *rtapv1.Frame {
	f := e.frames[number]
	delete(e.frames, number)
	return f
}

// lowest returns the frame with the lowest number; nil when there is none.
func (e *early) lowest() (low *rtapv1.Frame) {
	for _, f := range e.frames {
		if low == nil || f.GetFrame() < low.GetFrame() {
			low = f
		}
	}
	return low
}

// givenUp says whether what is missing before the lowest frame will not come any more.
func (e *early) givenUp(patience time.Duration) bool {
	if len(e.frames) >= maxEarly || time.Since(e.since) >= patience {
		return true
	}
	for _, f := range e.frames {
		if f.GetGapMs() > 0 {
			return true
		}
	}
	return false
}

// ring is how long capture can send a frame again.
func (s *Stream) ring() time.Duration {
	return time.Duration(s.cfg.Audio.RingBufferSizeMS) * time.Millisecond
}

// inOrder takes what can be taken of the frames that came early.
func (s *Stream) inOrder(ctx context.Context, patience time.Duration) error {
	for len(s.early.frames) > 0 {
		f := s.early.take(s.next)
		if f == nil {
			if !s.early.givenUp(patience) {
				return nil
			}
			f = s.early.lowest()
			s.early.take(f.GetFrame())
		}
		if err := s.take(ctx, f); err != nil {
			return err
		}
		s.early.since = time.Now() // the next hole is another one
	}
	return nil
}

// Position is where to read from: the first frame that is not behind the last recorded
// boundary, or the first of what follows may be heard as the continuation of.
func (s *Stream) Position() (epoch, first uint64) {
	if s.recalling {
		return s.cp.GetEpoch(), uint64(s.history.end / frame)
	}
	return s.cp.GetEpoch(), s.cp.GetNextFrame()
}
