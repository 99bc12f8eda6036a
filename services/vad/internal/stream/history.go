package stream

import (
	"slices"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// contextGap is the longest pause over which a segment continues what was said.
	contextGap = 3 * sampleRateHz / 2
	// keptMargin reaches back over the longest hangover.
	keptMargin = 6 * sampleRateHz
)

// history is the newest audio of an epoch, and the segments that were closed in it: what
// the next segment may be heard as the continuation of.
type history struct {
	limit  int // samples that a segment and its context have together
	pcm    []int16
	end    int // the sample after the last
	closed []closedSegment
}

type closedSegment struct {
	ordinal    uint64
	start, end int
}

// add appends the audio that ends at a sample.
func (h *history) add(pcm []int16, end int) {
	h.pcm, h.end = append(h.pcm, pcm...), end
	if kept := h.limit + keptMargin; len(h.pcm) > 2*kept {
		h.pcm = append(h.pcm[:0], h.pcm[len(h.pcm)-kept:]...)
	}
}

// segment notes a closed segment.
func (h *history) segment(ordinal uint64, start, end int) {
	h.closed = append(h.closed, closedSegment{ordinal, start, end})
	for len(h.closed) > 0 && h.closed[0].start < h.end-len(h.pcm) {
		h.closed = h.closed[1:]
	}
}

// recent lists the segments that one behind a sample could continue.
func (h *history) recent(epoch uint64, at int) (out []*rtapv1.ClosedSegment) {
	for _, c := range h.closed {
		if at-c.start <= h.limit {
			out = append(out, &rtapv1.ClosedSegment{
				Ordinal: c.ordinal, Span: &rtapv1.Span{Epoch: epoch, StartSample: uint64(c.start), EndSample: uint64(c.end)},
			})
		}
	}
	return out
}

// know takes over what recent has listed, of one epoch.
func (h *history) know(closed []*rtapv1.ClosedSegment, epoch uint64) {
	for _, c := range closed {
		if span := c.GetSpan(); span.GetEpoch() == epoch {
			h.closed = append(h.closed, closedSegment{c.GetOrdinal(), int(span.GetStartSample()), int(span.GetEndSample())})
		}
	}
}

// before returns the whole segments before a span, from ordinal first on, that fit into a
// context; nil when there is none.
func (h *history) before(span *rtapv1.Span, first uint64) *rtapv1.Context {
	start, end := int(span.GetStartSample()), int(span.GetEndSample())
	oldest := h.end - len(h.pcm)
	from := start
	var ordinals []uint64
	for _, c := range slices.Backward(h.closed) {
		if c.ordinal < first || c.start < oldest || from-c.end > contextGap || end-c.start > h.limit {
			break
		}
		from, ordinals = c.start, append(ordinals, c.ordinal)
	}
	if len(ordinals) == 0 || from >= start || start > h.end {
		return nil
	}
	slices.Reverse(ordinals)
	return &rtapv1.Context{
		Span:     &rtapv1.Span{Epoch: span.GetEpoch(), StartSample: uint64(from), EndSample: uint64(start)},
		Pcm:      bytesOf(h.pcm[from-oldest : start-oldest]),
		Ordinals: ordinals,
	}
}
