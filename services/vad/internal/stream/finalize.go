package stream

import (
	"context"
	"slices"

	"github.com/rtap/rtap/services/vad/internal/segmenter"
)

// finalize closes the open segment because the client asks for it. Where there is none, an
// event says so: no final will come of it.
func (s *Stream) finalize(ctx context.Context) error {
	decisions := s.seg.Flush("finalize")
	if err := s.act(ctx, decisions); err != nil {
		return err
	}
	if !slices.ContainsFunc(decisions, func(d segmenter.Decision) bool { return d.Kind == segmenter.Closed }) {
		s.event("finalized", "Finalized", s.seg.At())
	}
	return nil
}
