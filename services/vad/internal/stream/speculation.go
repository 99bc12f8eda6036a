package stream

import (
	"context"
	"slices"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/segmenter"
	"google.golang.org/protobuf/proto"
)

// speculationWait bounds how long a closed segment waits for its draft that a worker has in
// hand. To decode it anew would hardly be faster.
const speculationWait = 500 * time.Millisecond

// speculation is a draft of what the open segment will be if no speech follows.
type speculation struct {
	span     *rtapv1.Span
	ordinal  uint64
	revision uint32
	said     []uint64 // ordinals of its context
	begun    bool
	dropped  bool
	result   *rtapv1.DraftResult
}

// note takes over what a worker says of a speculative draft, and tells whether it was this one.
func (p *speculation) note(r *rtapv1.DraftResult) bool {
	if p == nil || r.GetOrdinal() != p.ordinal || r.GetRevision() != p.revision || !proto.Equal(r.GetSpan(), p.span) {
		return false
	}
	switch r.GetState() {
	case rtapv1.DraftResult_STATE_STARTED:
		p.begun = true
	case rtapv1.DraftResult_STATE_DROPPED:
		p.dropped = true
	case rtapv1.DraftResult_STATE_DONE:
		p.begun, p.result = true, r
	}
	return true
}

// speculate sends the open segment as it will be if no speech follows; it says whether there
// is one to send.
func (s *Stream) speculate() bool {
	pcm, start, end, ok := s.seg.Presumed()
	if !ok {
		return false
	}
	span := &rtapv1.Span{Epoch: s.epoch, StartSample: uint64(start), EndSample: uint64(end)}
	job := s.draftJob(rtapv1.DraftJob_KIND_SPECULATIVE, span, pcm)
	job.Committed, job.Before, job.Context = s.text.committed, s.text.before, s.said(span)
	s.spec = &speculation{span: span, ordinal: job.GetOrdinal(), revision: job.GetRevision(), said: job.GetContext().GetOrdinals()}
	s.send(job)
	return true
}

// abandon counts a speculation that came to nothing.
func (s *Stream) abandon(outcome string) {
	s.metrics.Speculation.WithLabelValues(outcome).Inc()
	s.metrics.SpeculationWasted.Add(s.spec.result.GetSttMs() / 1000)
	s.leave()
}

// leave takes a speculation out of the queue if no worker has begun with it.
func (s *Stream) leave() {
	if !s.spec.begun && !s.spec.dropped {
		s.send(&rtapv1.DraftJob{StreamId: s.id})
	}
	s.spec = nil
}

// settled returns the draft that a closed segment's text can be taken from; nil when it
// must be decoded. It waits a bounded moment for one that a worker has in hand.
func (s *Stream) settled(ctx context.Context, span *rtapv1.Span, said *rtapv1.Context) *rtapv1.DraftResult {
	p := s.spec
	if p == nil {
		outcome := obs.SpeculationNone
		if !s.drafting.again(s.seg.At()) {
			outcome = obs.SpeculationHeldBack
		}
		s.metrics.Speculation.WithLabelValues(outcome).Inc()
		return nil
	}
	s.notes()
	if p.ordinal != s.cp.GetOrdinal() || !proto.Equal(p.span, span) || !slices.Equal(p.said, said.GetOrdinals()) {
		s.abandon(obs.SpeculationChanged)
		return nil
	}
	outcome := obs.SpeculationHit
	if p.result == nil && p.begun && !p.dropped {
		outcome = obs.SpeculationHitWaited
		s.wait(ctx, p)
	}
	switch {
	case p.dropped:
		s.abandon(obs.SpeculationDropped)
	case p.result == nil:
		// Its worker may still take the final from it, where what it says of the draft is late or lost.
		outcome = obs.SpeculationLate
		if !p.begun {
			outcome = obs.SpeculationShed
		}
		s.await(rtapv1.DraftJob_KIND_SPECULATIVE, span, outcome)
		s.leave()
	default:
		s.metrics.Speculation.WithLabelValues(outcome).Inc()
		s.spec = nil
		return p.result
	}
	return nil
}

// wait returns when the draft is there or given up, or its time is over.
func (s *Stream) wait(ctx context.Context, p *speculation) {
	timeout := time.NewTimer(speculationWait)
	defer timeout.Stop()
	for p.result == nil && !p.dropped {
		select {
		case r := <-s.results:
			s.note(r)
		case <-timeout.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// eager closes the open segment before its hangover has passed, when the draft of it says
// that a sentence ends there.
func (s *Stream) eager() []segmenter.Decision {
	least := s.samples(s.cfg.VAD.EagerHangoverMS)
	if least == 0 || s.spec == nil || s.seg.Quiet() < least || s.seg.Quiet() >= s.samples(s.pauses.HangoverMS) {
		return nil
	}
	if r := s.spec.result; r == nil || r.GetRecognition().GetText() == "" || r.GetSentenceEnd() < s.cfg.VAD.EagerSentence {
		return nil
	}
	return s.seg.Conclude("sentence_end")
}
