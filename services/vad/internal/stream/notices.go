package stream

import (
	"fmt"
	"math"
	"strconv"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

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

// gapEvent tells whoever listens how much audio is lost before a frame, and why.
func (s *Stream) gapEvent(missing uint32, f *rtapv1.Frame) {
	reason := f.GetGapReason()
	if reason == "" {
		reason = "not stored in time"
	}
	s.bus.Emit(&rtapv1.ServiceEvent{
		Type: "Event", At: timestamppb.Now(), Service: "vad", Kind: "gap", Severity: rtapv1.ServiceEvent_SEVERITY_WARNING,
		Message: "audio is missing", StreamId: s.id,
		Attributes: map[string]string{
			"gap_ms": strconv.FormatUint(uint64(missing), 10), "reason": reason,
			"epoch": strconv.FormatUint(s.epoch, 10), "frame": strconv.FormatUint(f.GetFrame(), 10),
		},
	})
}

func decibels(x float64) float32 { return float32(20 * math.Log10(max(x, 0.5)/32768)) }

func (s *Stream) event(kind, name string, sample int) {
	_ = s.bus.PublishText(bus.Vad(s.id, kind), &rtapv1.VadEvent{
		Type: name, StreamId: s.id, CapturedAt: s.clock.GetCapturedAt(), Timestamp: float64(sample) / sampleRateHz,
		SegmentId: fmt.Sprintf("%s-%d-%d", s.id, s.epoch, s.cp.GetOrdinal()+1),
	})
}
