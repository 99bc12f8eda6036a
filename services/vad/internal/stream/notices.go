package stream

import (
	"fmt"
	"math"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// draft offers the open segment for an interim text when it has grown enough.
func (s *Stream) draft() {
	every := s.cfg.STT.InterimIntervalMS * sampleRateHz / 1000
	pcm, start, open := s.seg.Open()
	if every == 0 || !open || s.seg.At()-s.draftAt < every {
		return
	}
	s.draftAt = s.seg.At()
	s.revisions++
	ordinal := s.cp.GetOrdinal() + 1
	id := fmt.Sprintf("%s-%d-%d", s.id, s.epoch, ordinal)
	utterance := s.cp.GetUtteranceId()
	if utterance == "" {
		utterance = id
	}
	err := s.bus.PublishDraft(&rtapv1.DraftJob{
		StreamId: s.id, Ordinal: ordinal, SegmentId: id, UtteranceId: utterance, Revision: s.revisions,
		Span: &rtapv1.Span{Epoch: s.epoch, StartSample: uint64(start), EndSample: uint64(s.seg.At())},
		Pcm:  bytesOf(pcm), Kind: rtapv1.DraftJob_KIND_INTERIM, CapturedAt: s.clock,
	})
	if err != nil {
		s.metrics.Shed.WithLabelValues("draft_not_sent").Inc()
	}
}

// level sums up the loudness between two level events.
type level struct {
	samples, clipped int
	squares          float64
	peak             int
}

// measure sends a level event every vad.level_interval_ms.
func (s *Stream) measure(pcm []int16, p float32) {
	l := &s.level
	for _, x := range pcm {
		v := int(x)
		l.squares += float64(v) * float64(v)
		l.peak = max(l.peak, v, -v)
		if v >= math.MaxInt16 || v <= math.MinInt16 {
			l.clipped++
		}
	}
	l.samples += len(pcm)
	if l.samples < s.cfg.VAD.LevelIntervalMS*sampleRateHz/1000 {
		return
	}
	_ = s.bus.PublishText(bus.Vad(s.id, "level"), &rtapv1.VadEvent{
		Type: "Level", StreamId: s.id, CapturedAt: s.clock.GetCapturedAt(), Timestamp: float64(s.seg.At()) / sampleRateHz,
		Probability: p, RmsDbfs: decibels(math.Sqrt(l.squares / float64(l.samples))), PeakDbfs: decibels(float64(l.peak)), ClippedSamples: uint32(l.clipped),
	})
	*l = level{}
}

func decibels(x float64) float32 { return float32(20 * math.Log10(max(x, 0.5)/32768)) }

func (s *Stream) event(kind, name string, sample int) {
	_ = s.bus.PublishText(bus.Vad(s.id, kind), &rtapv1.VadEvent{
		Type: name, StreamId: s.id, CapturedAt: s.clock.GetCapturedAt(), Timestamp: float64(sample) / sampleRateHz,
		SegmentId: fmt.Sprintf("%s-%d-%d", s.id, s.epoch, s.cp.GetOrdinal()+1),
	})
}
