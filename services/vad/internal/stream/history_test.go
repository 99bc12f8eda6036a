package stream

import (
	"slices"
	"testing"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestHistory draws seconds: three segments, and what the next one gets.
func TestHistory(t *testing.T) {
	const s = sampleRateHz
	closed := []closedSegment{{1, 0, 2 * s}, {2, 3 * s, 5 * s}, {4, 6 * s, 7 * s}}
	for name, tt := range map[string]struct {
		start, end int
		first      uint64
		want       []uint64
		from       int
	}{
		"all fit":                  {8 * s, 9 * s, 1, []uint64{1, 2, 4}, 0},
		"ten seconds in all":       {8 * s, 12 * s, 1, []uint64{2, 4}, 3 * s},
		"of the utterance only":    {8 * s, 9 * s, 4, []uint64{4}, 6 * s},
		"a long pause":             {9 * s, 10 * s, 1, nil, 0},
		"the segment is too long":  {8 * s, 17 * s, 1, nil, 0},
		"nothing of the utterance": {8 * s, 9 * s, 5, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{limit: 10 * s}
			for at := range tt.end / frame {
				pcm := make([]int16, frame)
				pcm[0] = int16(at)
				h.add(pcm, (at+1)*frame)
			}
			for _, c := range closed {
				h.segment(c.ordinal, c.start, c.end)
			}
			got := h.before(&rtapv1.Span{Epoch: 3, StartSample: uint64(tt.start), EndSample: uint64(tt.end)}, tt.first)
			if !slices.Equal(got.GetOrdinals(), tt.want) {
				t.Fatalf("ordinals %v, want %v", got.GetOrdinals(), tt.want)
			}
			if tt.want == nil {
				return
			}
			if sp := got.GetSpan(); int(sp.GetStartSample()) != tt.from || int(sp.GetEndSample()) != tt.start || len(got.GetPcm()) != 2*(tt.start-tt.from) {
				t.Errorf("span %v with %d bytes", sp, len(got.GetPcm()))
			}
		})
	}
	h := &history{limit: 10 * s}
	for at := range 100 * s / frame {
		h.add(make([]int16, frame), (at+1)*frame)
		h.segment(uint64(at), at*frame, (at+1)*frame)
	}
	if len(h.pcm) > 2*(h.limit+keptMargin) || len(h.closed) > len(h.pcm)/frame {
		t.Errorf("%d samples and %d segments are kept", len(h.pcm), len(h.closed))
	}
}
