package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/failpoint"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/segmenter"
)

// segment numbers a closed segment, records it, and publishes its job.
func (s *Stream) segment(ctx context.Context, d segmenter.Decision) error {
	s.cp.Ordinal++
	id := s.segmentID(s.cp.GetOrdinal())
	if s.cp.GetUtteranceId() == "" {
		s.cp.UtteranceId, s.cp.UtteranceFirstOrdinal = id, s.cp.GetOrdinal()
	}
	gap := s.gapMS
	s.gapMS = 0
	b := &rtapv1.Boundary{
		Kind: rtapv1.Boundary_KIND_SEGMENT, Ordinal: s.cp.GetOrdinal(), UtteranceId: s.cp.GetUtteranceId(), SegmentId: id,
		Span:        &rtapv1.Span{Epoch: s.epoch, StartSample: uint64(d.Start), EndSample: uint64(d.End)},
		SpeechFinal: d.BySilence, FromFinalize: d.Reason == "finalize", GapMs: gap,
		UtteranceFirstOrdinal: s.cp.GetUtteranceFirstOrdinal(), ClosedAt: s.clock, SpeechEndedAt: s.heardAt(d.SpeechEnd), Reason: d.Reason, ClosedSample: uint64(s.seg.At()),
	}
	if d.Reason == "end_of_stream" || d.Reason == "gap" || d.Reason == "epoch" {
		b.SpeechFinal = true
	}
	failpoint.At("vad/closed")
	if err := s.store(ctx, b); err != nil {
		return err
	}
	failpoint.At("vad/recorded")
	said := s.said(b.GetSpan())
	s.history.segment(b.GetOrdinal(), d.Start, d.End)
	return s.publish(ctx, b, d.PCM, said, s.settled(ctx, b.GetSpan(), said))
}

// publish hands a recorded segment to the recogniser; said is what came before it, and
// known a draft of exactly this audio, each or nil.
func (s *Stream) publish(ctx context.Context, b *rtapv1.Boundary, pcm []int16, said *rtapv1.Context, known *rtapv1.DraftResult) error {
	spent, _ := clock.Since(b.GetClosedAt())
	job := &rtapv1.FinalJob{
		StreamId: s.id, Ordinal: b.GetOrdinal(), SegmentId: b.GetSegmentId(), UtteranceId: b.GetUtteranceId(),
		UtteranceFirstOrdinal: b.GetUtteranceFirstOrdinal(), Span: b.GetSpan(), Pcm: bytesOf(pcm), Context: said,
		SpeechFinal: b.GetSpeechFinal(), FromFinalize: b.GetFromFinalize(), GapMs: b.GetGapMs(),
		ClosedAt: b.GetClosedAt(), SpeechEndedAt: b.GetSpeechEndedAt(), Traceparent: traceparent(), VadMs: spent.Seconds() * 1000,
		ClosedSample: b.GetClosedSample(), ClosedBy: b.GetReason(), Unhurried: s.tempo.unhurried(),
	}
	if known != nil {
		job.Context, job.Draft, job.DraftSttMs = nil, known.GetRecognition(), known.GetSttMs()
		job.DraftContextOutcome = known.GetContextOutcome()
	}
	if err := s.offer(ctx, job); err != nil {
		return err
	}
	failpoint.At("vad/job-published")
	s.log.Debug("segment closed", "segment_id", b.GetSegmentId(), "reason", b.GetReason(), "samples", len(pcm))
	return nil
}

// marker records the end of an utterance or of the stream and stores its result.
func (s *Stream) marker(ctx context.Context, kind rtapv1.Boundary_Kind, d segmenter.Decision) error {
	if kind == rtapv1.Boundary_KIND_UTTERANCE_END && s.cp.GetUtteranceId() == "" {
		return nil
	}
	s.cp.Ordinal++
	b := &rtapv1.Boundary{
		Kind: kind, Ordinal: s.cp.GetOrdinal(), UtteranceId: s.cp.GetUtteranceId(), UtteranceFirstOrdinal: s.cp.GetUtteranceFirstOrdinal(),
		Span:     &rtapv1.Span{Epoch: s.epoch, StartSample: uint64(d.Start), EndSample: uint64(d.End)},
		ClosedAt: s.clock, SpeechEndedAt: s.heardAt(d.SpeechEnd), Reason: d.Reason,
	}
	s.cp.UtteranceId, s.cp.UtteranceFirstOrdinal = "", 0
	if err := s.store(ctx, b); err != nil {
		return err
	}
	failpoint.At("vad/marker-recorded")
	return s.storeMarker(ctx, b)
}

func (s *Stream) storeMarker(ctx context.Context, b *rtapv1.Boundary) error {
	kind := rtapv1.Result_KIND_UTTERANCE_END
	if b.GetKind() == rtapv1.Boundary_KIND_STREAM_END {
		kind = rtapv1.Result_KIND_STREAM_END
	}
	return s.result(ctx, b, kind, b.GetReason())
}

func (s *Stream) result(ctx context.Context, b *rtapv1.Boundary, kind rtapv1.Result_Kind, reason string) error {
	r := &rtapv1.Result{
		StreamId: s.id, Ordinal: b.GetOrdinal(), Kind: kind, SegmentId: b.GetSegmentId(), UtteranceId: b.GetUtteranceId(),
		UtteranceFirstOrdinal: b.GetUtteranceFirstOrdinal(), Span: b.GetSpan(), ClosedAt: b.GetClosedAt(),
		ClosedSample: b.GetClosedSample(), ClosedBy: b.GetReason(),
		SpeechEndedAt: b.GetSpeechEndedAt(), GapMs: b.GetGapMs(), Reason: reason, Worker: "vad",
	}
	ok := bus.Retry(ctx, s.log, "storing a marker", func() error {
		if err := s.bus.StoreResult(ctx, r); err != nil && !errors.Is(err, bus.ErrExists) {
			return err
		}
		return nil
	})
	if !ok {
		return ctx.Err()
	}
	return nil
}

// end marks that the source has ended.
func (s *Stream) end(ctx context.Context) error {
	s.cp.Ended = true
	at := s.seg.At()
	s.log.Info("stream ended", "epoch", s.epoch, "seconds", float64(at)/sampleRateHz)
	return s.marker(ctx, rtapv1.Boundary_KIND_STREAM_END, segmenter.Decision{Start: at, End: at, SpeechEnd: at, Reason: "end_of_stream"})
}

// settle does again what the last recorded boundary asks for: its holder may have died
// between the record and the act. Both acts are harmless when done twice.
func (s *Stream) settle(ctx context.Context) error {
	b := s.cp.GetBoundary()
	s.gapMS = s.cp.GetPendingGapMs()
	if b.GetOrdinal() == 0 {
		return nil
	}
	// Released ones are deleted: what is stored then would stand again, and stay.
	done, err := s.bus.HasResult(ctx, s.id, b.GetOrdinal())
	if err != nil || done {
		return err
	}
	if b.GetKind() != rtapv1.Boundary_KIND_SEGMENT {
		return s.storeMarker(ctx, b)
	}
	pcm, err := s.recorded(ctx, b)
	if err != nil {
		return err
	}
	if pcm == nil {
		s.log.Error("audio of a recorded segment has expired", "segment_id", b.GetSegmentId())
		s.metrics.Errors.WithLabelValues("vad", "audio_expired").Inc()
		return s.result(ctx, b, rtapv1.Result_KIND_DEAD, "audio expired before the segment was transcribed")
	}
	said, err := s.continued(ctx, b)
	if err != nil {
		return err
	}
	failpoint.At("vad/settling")
	s.log.Info("publishing a recorded segment again", "segment_id", b.GetSegmentId())
	return s.publish(ctx, b, samples(pcm), said, nil)
}

// traceparent starts a trace as https://www.w3.org/TR/trace-context/ writes it.
func traceparent() string {
	var raw [24]byte
	_, _ = rand.Read(raw[:])
	return "00-" + hex.EncodeToString(raw[:16]) + "-" + hex.EncodeToString(raw[16:]) + "-01"
}
