package stream

import (
	"slices"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// How long a worker may take to say the last of a draft: it lives two seconds in RTAP_DRAFTS, then comes an
// inference, and for the final of a speculative one its turn.
const (
	interimWithin = 3 * time.Second
	finalWithin   = 10 * time.Second
)

// awaited is a draft of which a worker has not said the last. It matters for what is counted only: a draft that
// another one replaced in the queue, or that expired there, is gone without a word.
type awaited struct {
	kind    rtapv1.DraftJob_Kind
	span    *rtapv1.Span
	until   time.Time
	outcome string  // of a speculative draft, unless its worker takes the final from it
	spentMS float64 // of its inference
}

func (s *Stream) await(kind rtapv1.DraftJob_Kind, span *rtapv1.Span, outcome string) {
	within := interimWithin
	if kind == rtapv1.DraftJob_KIND_SPECULATIVE {
		within = finalWithin
	}
	s.awaited = append(s.awaited, awaited{kind: kind, span: span, outcome: outcome, until: time.Now().Add(within)})
}

// told takes note of what a worker says of a draft that is awaited, and tells whether it was one.
func (s *Stream) told(r *rtapv1.DraftResult) bool {
	i := slices.IndexFunc(s.awaited, func(a awaited) bool { return a.kind == r.GetKind() && proto.Equal(a.span, r.GetSpan()) })
	if i < 0 {
		return false
	}
	switch {
	case r.GetKind() != rtapv1.DraftJob_KIND_SPECULATIVE:
		s.awaited = slices.Delete(s.awaited, i, i+1)
	case r.GetState() == rtapv1.DraftResult_STATE_DONE:
		s.awaited[i].spentMS = r.GetSttMs()
	case r.GetState() == rtapv1.DraftResult_STATE_USED:
		s.awaited = slices.Delete(s.awaited, i, i+1)
		s.metrics.Speculation.WithLabelValues(obs.SpeculationLateHit).Inc()
	}
	return true
}

// overdue counts drafts of which nothing will be said any more.
func (s *Stream) overdue(now time.Time) {
	s.awaited = slices.DeleteFunc(s.awaited, func(a awaited) bool {
		over := now.After(a.until)
		if over {
			s.unanswered(a)
		}
		return over
	})
}

// giveUpWaiting counts what is awaited when the stream is left. The answer to the last interim may be on its way.
func (s *Stream) giveUpWaiting() {
	s.notes()
	last := -1
	for i, a := range s.awaited {
		if a.kind == rtapv1.DraftJob_KIND_INTERIM {
			last = i
		}
	}
	for i, a := range s.awaited {
		if i != last {
			s.unanswered(a)
		}
	}
	s.awaited = nil
}

func (s *Stream) unanswered(a awaited) {
	if a.kind == rtapv1.DraftJob_KIND_INTERIM {
		s.metrics.Shed.WithLabelValues("draft_unanswered").Inc()
		return
	}
	s.metrics.Speculation.WithLabelValues(a.outcome).Inc()
	s.metrics.SpeculationWasted.Add(a.spentMS / 1000)
}
