// Package measure makes figures of what was played and what came back. It is pure: no
// clock, no I/O, so that every rule by which a figure is made can be tested.
package measure

import (
	"slices"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/material"
)

const (
	rateHz    = 16000
	nsPerTick = 1e9 / rateHz
)

// Stream is one stream's recording and all that came of it.
type Stream struct {
	Recording *material.Recording
	// Zero is when sample 0 was captured, in ns of the host's monotonic clock.
	Zero     int64
	Finals   []Final
	Interims []Interim
	Ended    bool // its StreamEnd came
	// Wrong is what the feed must never do.
	Wrong Disorder
}

// Disorder counts breaches of the order of finals.
type Disorder struct {
	Holes      int `json:"holes"`        // numbers that never came
	Doubled    int `json:"doubled"`      // numbers that came again
	OutOfOrder int `json:"out_of_order"` // numbers lower than one before
	Restarted  int `json:"restarted"`    // epochs after the first: the source was played again
}

// Final is one final; positions are samples of the stream.
type Final struct {
	At         int64 // when it was read, ns
	Seq        uint32
	Segment    string
	Start, End int
	// Closed is what had been heard when the segment was closed; 0 when the message does not tell.
	Closed      int
	ClosedBy    string
	Speculative bool
	Text        string
	Words       []rig.Word
	// The pipeline's own figures, ms.
	Pipeline, Queue, STT float64
}

// Interim is one preliminary text.
type Interim struct {
	At        int64
	Segment   string
	Text      string
	Committed string
}

// Captured is when a sample was.
func (s *Stream) Captured(sample int) int64 { return s.Zero + int64(float64(sample)*nsPerTick) }

// Take sorts a stream's messages. Those of other streams are passed over.
func (s *Stream) Take(messages []rig.Message) {
	seen := map[uint32]bool{}
	var last uint32
	for i := range messages {
		m := &messages[i]
		if m.Rtap.Stream != s.Recording.Stream {
			continue
		}
		switch {
		case m.Type == "StreamEnd":
			s.Ended = true
		case m.Type != "Results": // a marker, which is no text
		case m.IsFinal:
			if seen[m.Rtap.Seq] {
				s.Wrong.Doubled++
				continue
			}
			seen[m.Rtap.Seq] = true
			if m.Rtap.Seq < last {
				s.Wrong.OutOfOrder++
			}
			last = max(last, m.Rtap.Seq)
			if m.Rtap.Epoch > 1 {
				s.Wrong.Restarted++
			}
			s.Finals = append(s.Finals, final(m))
		default:
			s.Interims = append(s.Interims, interim(m))
		}
	}
	s.Wrong.Holes = int(last) - len(seen)
	// A final that comes late has a higher number than those behind it.
	slices.SortStableFunc(s.Finals, func(a, b Final) int { return a.Start - b.Start })
}

func final(m *rig.Message) Final {
	return Final{
		At: m.At, Seq: m.Rtap.Seq, Segment: m.Rtap.Segment, Start: at(m.Start), End: at(m.Start + m.Duration),
		Closed: at(m.Rtap.ClosedAt), ClosedBy: m.Rtap.ClosedBy, Speculative: m.Rtap.Speculative, Text: m.Text(), Words: m.Words(),
		Pipeline: m.Rtap.Latency.Pipeline, Queue: m.Rtap.Latency.Queue, STT: m.Rtap.Latency.STT,
	}
}

func interim(m *rig.Message) Interim {
	text := []rune(m.Text())
	return Interim{At: m.At, Segment: m.Rtap.Segment, Text: string(text), Committed: string(text[:min(len(text), m.Rtap.CommittedChars)])}
}

func at(seconds float64) int { return int(seconds*rateHz + 0.5) }
