package stream

import (
	"context"
	"errors"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// fullAgain and fullAgainMost bound how soon a full queue is tried again: a job may be half
// a megabyte.
const fullAgain, fullAgainMost = 100 * time.Millisecond, time.Second

// Hold is told when a stream is held back, because RTAP_JOBS is full, and when it goes on.
type Hold func(stream string, held bool)

// offer stores a job. While RTAP_JOBS has no room it holds the stream back: its frames
// wait in RTAP_AUDIO, whose limits decide what is lost if this lasts; that is a gap like
// any other.
func (s *Stream) offer(ctx context.Context, job *rtapv1.FinalJob) error {
	held := false
	defer func() {
		if held {
			s.hold(s.id, false)
		}
	}()
	for wait := fullAgain; ; wait = min(2*wait, fullAgainMost) {
		full := false
		ok := bus.Retry(ctx, s.log, "publishing a job", func() error {
			err := s.bus.PublishJob(ctx, job)
			if full = errors.Is(err, bus.ErrFull); full {
				return nil
			}
			return err
		})
		if !ok {
			return ctx.Err()
		}
		if !full {
			return nil
		}
		if !held {
			held = true
			s.hold(s.id, true)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}
