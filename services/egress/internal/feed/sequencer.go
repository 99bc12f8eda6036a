// Package feed is the gateway's domain: it releases results in ordinal order into the
// transcript log, and hands what it reads back from there to subscribers.
package feed

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// Sequencer gives finals their numbers. Its whole state is in the log: the last entry of
// a stream, and the results above it. Two that run at once cannot both write, since each
// write names the entry that it follows.
type Sequencer struct {
	rt      *service.Runtime
	logID   string
	streams map[string]*order
}

// order is one stream's state.
type order struct {
	released uint64 // ordinal of the last entry or of the last result that needs none
	seq      uint32
	last     uint64 // sequence of the last entry in RTAP_TRANSCRIPTS
	results  map[uint64]*stored
	late     map[uint64]*stored // texts for segments that had been given up
}

type stored struct {
	result   *rtapv1.Result
	sequence uint64 // in RTAP_RESULTS
}

// NewSequencer makes one that has read nothing.
func NewSequencer(rt *service.Runtime) *Sequencer { return &Sequencer{rt: rt} }

// Run releases until ctx is done; every trouble starts it anew from what is stored.
func (s *Sequencer) Run(ctx context.Context) error {
	if err := s.rt.Bus.Await(ctx); err != nil {
		return err
	}
	for {
		if err := s.once(ctx); err != nil && ctx.Err() == nil {
			s.rt.Log.Warn("sequencing starts anew", "error", err)
			s.rt.Metrics.Errors.WithLabelValues("egress", "sequencer").Inc()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Sequencer) once(ctx context.Context) error {
	again := s.rt.Bus.Reconnected()
	s.streams = map[string]*order{}
	var err error
	if s.logID, err = s.rt.Bus.LogID(ctx); err != nil {
		return err
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllResults}}
	return s.rt.Bus.Follow(ctx, again, bus.StreamResults, cfg, func(m jetstream.Msg) error { return s.take(ctx, m) })
}

func (s *Sequencer) take(ctx context.Context, m jetstream.Msg) error {
	r := &rtapv1.Result{}
	if err := proto.Unmarshal(m.Data(), r); err != nil {
		s.rt.Metrics.Errors.WithLabelValues("egress", "bad_result").Inc()
		return nil //nolint:nilerr // one unreadable result must not stop the others; it is counted
	}
	meta, err := m.Metadata()
	if err != nil {
		return fmt.Errorf("reading a result: %w", err)
	}
	o, err := s.order(ctx, r.GetStreamId())
	if err != nil {
		return err
	}
	if bus.IsLate(m.Subject()) {
		o.late[r.GetOrdinal()] = &stored{r, meta.Sequence.Stream}
	} else {
		o.results[r.GetOrdinal()] = &stored{r, meta.Sequence.Stream}
	}
	for {
		next, ok := o.results[o.released+1]
		if !ok {
			break
		}
		if err := s.release(ctx, o, next.result); err != nil {
			return err
		}
	}
	if err := s.releaseLate(ctx, o); err != nil {
		return err
	}
	s.rt.Metrics.QueueDepth.WithLabelValues("unreleased_results").Set(float64(s.waiting()))
	return nil
}

func (s *Sequencer) waiting() (n int) {
	for _, o := range s.streams {
		for ordinal := range o.results {
			if ordinal > o.released {
				n++
			}
		}
	}
	return n
}

func (s *Sequencer) order(ctx context.Context, stream string) (*order, error) {
	if o := s.streams[stream]; o != nil {
		return o, nil
	}
	last, at, err := s.rt.Bus.LastFinal(ctx, stream)
	if err != nil {
		return nil, err
	}
	o := &order{last: at, results: map[uint64]*stored{}, late: map[uint64]*stored{}}
	if last != nil {
		o.released, o.seq = last.Released(), last.Seq()
	}
	s.streams[stream] = o
	return o, nil
}

// release settles the next ordinal. A refused write means that another gateway was
// first; the caller reads the log again.
func (s *Sequencer) release(ctx context.Context, o *order, r *rtapv1.Result) error {
	entry := s.entry(o, r)
	if entry != nil {
		failpoint.At("egress/releasing")
		at, err := s.rt.Bus.StoreFinal(ctx, *entry, o.last)
		if errors.Is(err, bus.ErrConflict) {
			return s.reread(ctx, o, r)
		}
		if err != nil {
			return err
		}
		failpoint.At("egress/stored")
		o.last, o.seq = at, entry.Seq()
		s.rt.Metrics.FramesProcessed.WithLabelValues("egress").Inc()
	}
	o.released = r.GetOrdinal()
	if entry != nil && entry.Results == nil {
		s.forget(ctx, o)
	}
	return nil
}

// reread finds out whether the refused entry is in the log after all: our own write with
// a lost acknowledgement, or another gateway's, which is as good.
func (s *Sequencer) reread(ctx context.Context, o *order, r *rtapv1.Result) error {
	last, at, err := s.rt.Bus.LastFinal(ctx, r.GetStreamId())
	if err != nil {
		return err
	}
	if last == nil || last.Released() < r.GetOrdinal() {
		return fmt.Errorf("%s/%d: %w", r.GetStreamId(), r.GetOrdinal(), bus.ErrConflict)
	}
	o.released, o.seq, o.last = last.Released(), last.Seq(), at
	return nil
}

// entry is what a result puts into the log; nil for nothing.
func (s *Sequencer) entry(o *order, r *rtapv1.Result) *wire.Entry {
	marker := &rtapv1.MarkerRtap{
		Schema: wire.Schema, StreamId: r.GetStreamId(), UtteranceId: r.GetUtteranceId(), AfterSeq: o.seq, LogId: s.logID,
		Ordinal: uint32(r.GetOrdinal()), Epoch: uint32(r.GetSpan().GetEpoch()), CapturedAt: r.GetSpeechEndedAt().GetCapturedAt(),
	}
	switch r.GetKind() {
	case rtapv1.Result_KIND_TEXT:
		return &wire.Entry{Results: s.final(o, r)}
	case rtapv1.Result_KIND_UTTERANCE_END:
		text, end := o.utterance(r)
		if text == "" {
			return nil
		}
		marker.Transcript = text
		return &wire.Entry{UtteranceEnd: &rtapv1.UtteranceEnd{Type: "UtteranceEnd", Channel: []uint32{0, 1}, LastWordEnd: end, Rtap: marker}}
	case rtapv1.Result_KIND_STREAM_END:
		return &wire.Entry{StreamEnd: &rtapv1.StreamEnd{Type: "StreamEnd", Duration: float64(r.GetSpan().GetEndSample()) / 16000, Rtap: marker}}
	case rtapv1.Result_KIND_DEAD:
		s.rt.Metrics.Errors.WithLabelValues("egress", "dead_segment").Inc()
		s.rt.Emit("segment_dead", rtapv1.ServiceEvent_SEVERITY_ERROR, r.GetReason(), func(e *rtapv1.ServiceEvent) {
			e.StreamId = r.GetStreamId()
			e.Attributes = map[string]string{"segment_id": r.GetSegmentId()}
		})
	}
	return nil
}

func (s *Sequencer) final(o *order, r *rtapv1.Result) *rtapv1.Results {
	m := wire.NewResults(r.GetSpan(), r.GetRecognition())
	m.IsFinal, m.SpeechFinal, m.FromFinalize = true, r.GetSpeechFinal(), r.GetFromFinalize()
	m.Metadata.RequestId = r.GetStreamId()
	pipeline, same := clock.Since(r.GetClosedAt())
	speech, _ := clock.Since(r.GetSpeechEndedAt())
	p := m.Rtap
	p.StreamId, p.UtteranceId, p.SegmentId = r.GetStreamId(), r.GetUtteranceId(), r.GetSegmentId()
	p.Revision, p.Seq, p.LogId, p.Ordinal = 1, o.seq+1, s.logID, uint32(r.GetOrdinal())
	p.Released = p.Ordinal
	p.GapMs, p.CommittedChars = o.gap(r), uint32(len([]rune(r.GetRecognition().GetText())))
	p.CapturedAt, p.Unsynchronised = r.GetClosedAt().GetCapturedAt(), !same
	p.ClosedAt, p.ClosedBy, p.Speculative = float64(r.GetClosedSample())/16000, r.GetClosedBy(), r.GetSpeculative()
	if parts := strings.Split(r.GetTraceparent(), "-"); len(parts) == 4 {
		p.TraceId = parts[1]
	}
	p.LatencyMs = &rtapv1.LatencyMs{
		Vad: ms(r.GetTimings().GetVadMs()), Queue: ms(r.GetTimings().GetQueueMs()), Stt: ms(r.GetTimings().GetSttMs()),
		Pipeline: ms(pipeline.Seconds() * 1000), SpeechEndToFinal: ms(speech.Seconds() * 1000),
	}
	return m
}

func ms(x float64) float64 { return float64(int(x*10+0.5)) / 10 }
