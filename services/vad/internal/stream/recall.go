package stream

import (
	"context"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// recall makes the history that a predecessor had at its checkpoint. The audio comes again
// with the frames that are read from [Stream.Position] on.
func (s *Stream) recall() {
	closed := s.cp.GetClosed()
	if b := s.cp.GetBoundary(); b.GetKind() == rtapv1.Boundary_KIND_SEGMENT {
		closed = append(closed[:len(closed):len(closed)], &rtapv1.ClosedSegment{Ordinal: b.GetOrdinal(), Span: b.GetSpan()})
	}
	s.history.know(closed, s.epoch)
	if len(s.history.closed) > 0 {
		s.recalling, s.history.end = true, s.history.closed[0].start
	}
}

// remember adds a frame from before the checkpoint to the history.
func (s *Stream) remember(f *rtapv1.Frame) {
	if s.recalling && int(f.GetFrame())*frame == s.history.end {
		s.history.add(samples(f.GetPcm()), s.history.end+frame)
	}
}

// recalled ends that, when the first frame behind the checkpoint comes: a history with a
// hole is none.
func (s *Stream) recalled() {
	if s.recalling && s.history.end != int(s.next)*frame {
		s.history = &history{limit: s.history.limit}
	}
	s.recalling = false
}

// continued is what a recorded segment may be heard as the continuation of, from stored
// audio; nil when there is nothing, or not all of it.
func (s *Stream) continued(ctx context.Context, b *rtapv1.Boundary) (*rtapv1.Context, error) {
	closed := s.cp.GetClosed()
	if len(closed) == 0 || !s.cfg.STT.Context || closed[0].GetSpan().GetEpoch() != b.GetSpan().GetEpoch() {
		return nil, nil
	}
	h := &history{limit: s.samples(s.cfg.STT.ContextMS)}
	span := &rtapv1.Span{Epoch: b.GetSpan().GetEpoch(), StartSample: closed[0].GetSpan().GetStartSample(), EndSample: b.GetSpan().GetStartSample()}
	pcm, whole, err := s.bus.AudioSpan(ctx, s.id, span)
	if err != nil || !whole {
		return nil, err
	}
	h.add(samples(pcm), int(span.GetEndSample()))
	h.know(closed, span.GetEpoch())
	return h.before(b.GetSpan(), b.GetUtteranceFirstOrdinal()), nil
}
