package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// clockSkew is how far a worker's clock may be ahead of the server's.
const clockSkew = time.Hour

// releaseLate gives each text that came after its segment had been given up the next
// number, once its dead result has been passed, and removes it from the results.
func (s *Sequencer) releaseLate(ctx context.Context, o *order) error {
	for ordinal, r := range o.late {
		if ordinal > o.released {
			continue
		}
		if err := s.storeLate(ctx, o, r.result); err != nil {
			return err
		}
		delete(o.late, ordinal)
		results, err := s.rt.Bus.JS().Stream(ctx, bus.StreamResults)
		if err != nil {
			return fmt.Errorf("removing late result %s/%d: %w", r.result.GetStreamId(), ordinal, err)
		}
		s.remove(ctx, results, r)
	}
	return nil
}

// storeLate writes it unless the log has it: the removal of a late result may have failed,
// or have been forgotten by the server, and a retry may have been run twice.
func (s *Sequencer) storeLate(ctx context.Context, o *order, r *rtapv1.Result) error {
	if r.GetKind() != rtapv1.Result_KIND_TEXT {
		return nil
	}
	var since time.Time
	if at := r.GetClosedAt().GetCapturedAt(); at.IsValid() {
		since = at.AsTime().Add(-clockSkew)
	}
	there, err := s.rt.Bus.HasLateFinal(ctx, r.GetStreamId(), r.GetOrdinal(), since)
	if err != nil || there {
		return err
	}
	m := s.final(o, r)
	m.Rtap.Late, m.Rtap.Released = true, uint32(o.released)
	m.Rtap.GapMs = 0 // the text that followed the dead result tells it
	entry := wire.Entry{Results: m}
	at, err := s.rt.Bus.StoreFinal(ctx, entry, o.last)
	if errors.Is(err, bus.ErrConflict) {
		return fmt.Errorf("late %s/%d: %w", r.GetStreamId(), r.GetOrdinal(), err) // begins anew, and looks again
	}
	if err != nil {
		return err
	}
	o.last, o.seq = at, entry.Seq()
	s.rt.Metrics.FramesProcessed.WithLabelValues("egress").Inc()
	return nil
}
