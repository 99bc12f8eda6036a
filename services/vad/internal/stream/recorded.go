package stream

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/lease"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// recordedPoll is how often missing audio of a recorded segment is looked for.
const recordedPoll = 100 * time.Millisecond

// recorded returns the stored audio of a recorded segment that closed at a moment; nil when
// the audio is gone. A server that crashed may have lost the newest frames, which capture
// sends again: as long as nothing is stored that comes after the segment it waits for them:
// while somebody captures the stream, who has them or stores what comes after them, and then
// as long as a successor may take, which is that of capture's ring. A server whose disk is
// full takes nothing for longer than that. What is older than audio is kept has expired, whoever captures.
func (s *Stream) recorded(ctx context.Context, span *rtapv1.Span, closed *rtapv1.Clock) ([]byte, error) {
	patience := time.Duration(s.cfg.Audio.RingBufferSizeMS) * time.Millisecond
	deadline := time.Now().Add(patience)
	told := false
	for {
		// In this order: what is missing may arrive between the two.
		last, err := s.bus.LastFrame(ctx, s.id)
		if err != nil {
			return nil, err
		}
		pcm, whole, err := s.bus.AudioSpan(ctx, s.id, span)
		if err != nil {
			return nil, err
		}
		if whole {
			return pcm, nil
		}
		if _, _, err := s.bus.Leases().Get(ctx, lease.Capture(s.id)); err == nil {
			age, _ := clock.Since(closed)
			if most := s.cfg.Streams.Audio.MaxAge; most == 0 || age < most {
				deadline = time.Now().Add(patience)
			}
			if !told {
				told = true
				s.log.Warn("waiting for stored audio of a recorded segment, which capture sends again", "span", span.String())
			}
		}
		if passed(last, span) || time.Now().After(deadline) {
			return nil, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(recordedPoll):
		}
	}
}

// passed says whether a frame comes after a span, or is its last.
func passed(f *rtapv1.Frame, span *rtapv1.Span) bool {
	return f.GetEpoch() > span.GetEpoch() || f.GetEpoch() == span.GetEpoch() && (f.GetFrame()+1)*frame >= span.GetEndSample()
}
