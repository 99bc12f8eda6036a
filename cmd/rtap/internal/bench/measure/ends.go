package measure

import "github.com/rtap/rtap/pkg/material"

const (
	// tailSlack: a final whose segment ends this much before the labelled end of speech does
	// not hold the last words.
	tailSlack = rateHz / 4
	// insideSlack: a segment that is closed so shortly before the labelled end was not cut.
	insideSlack = rateHz / 20
)

// Ends is what became of the ends of speech that count: those before half a second of
// silence or more.
type Ends struct {
	Expected int `json:"expected"`
	// Unheard speech has no final at all, TailUnheard none over its last quarter of a second.
	Unheard     int `json:"unheard"`
	TailUnheard int `json:"tail_unheard"`
	// RunOn segments were not closed before speech went on; they are in the figures.
	RunOn int `json:"run_on"`
	// TTFS in ms: from the capture of the last sample of speech to the final's arrival.
	TTFS     []End `json:"ttfs"`
	Segments int   `json:"segments"`
	// Forced cuts came from the maximum length, not from silence.
	Forced int `json:"forced_cuts"`
	// Eager were closed before the hangover, because a draft told a sentence end (vad.eager_hangover_ms).
	Eager int `json:"closed_by_sentence_end"`
	// Inside are segments that silence or a sentence end closed while labelled speech went on.
	Inside int `json:"cuts_inside_speech"`
	// NoSpeech are finals with a text where there is no labelled speech.
	NoSpeech int `json:"texts_outside_speech"`
	// Pipeline in ms, of every final: from the capture of the last sample that was heard before the segment
	// was closed to the final's arrival.
	Pipeline []float64 `json:"-"`
}

// End is one time to the final text.
type End struct {
	Second float64 `json:"second"` // of the stream
	Stream int     `json:"stream"`
	Hand   bool    `json:"hand"`
	MS     float64 `json:"ms"`
	// Closing is from the end of speech to the closing of its segment, in audio time; Decode
	// what its text took. 0 and 0 where the message does not tell.
	Closing float64 `json:"closing_ms"`
	Decode  float64 `json:"decode_ms"`
}

// CountEnds looks at every end of speech of all streams.
func CountEnds(streams []Stream) Ends {
	var e Ends
	for i := range streams {
		e.stream(i, &streams[i])
	}
	return e
}

func (e *Ends) stream(n int, s *Stream) {
	ends := s.Recording.Ends()
	for _, end := range ends {
		if !end.Counts() {
			continue
		}
		e.Expected++
		f := s.last(end)
		switch {
		case f == nil:
			e.Unheard++
			continue
		case f.End < end.Sample-tailSlack:
			e.TailUnheard++
			continue
		case f.End > end.Sample+end.Pause:
			e.RunOn++
		}
		one := End{
			Second: float64(end.Sample) / rateHz, Stream: n, Hand: end.Hand, MS: float64(f.At-s.Captured(end.Sample)) / 1e6,
		}
		if f.Closed > 0 {
			one.Closing, one.Decode = float64(f.Closed-end.Sample)*1000/rateHz, f.STT
		}
		e.TTFS = append(e.TTFS, one)
	}
	e.Segments += len(s.Finals)
	for i := range s.Finals {
		f := &s.Finals[i]
		if f.Closed > 0 {
			e.Pipeline = append(e.Pipeline, float64(f.At-s.Captured(f.Closed))/1e6)
		} else {
			e.Pipeline = append(e.Pipeline, f.Pipeline)
		}
		silence, eager := f.ClosedBy == "silence", f.ClosedBy == "sentence_end"
		if f.ClosedBy == "max_segment" {
			e.Forced++
		}
		if eager {
			e.Eager++
		}
		if (silence || eager) && inside(ends, f.Closed) {
			e.Inside++
		}
		if !touches(ends, f) {
			e.NoSpeech++
		}
	}
}

// last is the final that holds the end of speech: the last one that begins before it, if
// it reaches into that speech at all.
func (s *Stream) last(end material.End) *Final {
	for i := len(s.Finals) - 1; i >= 0; i-- {
		f := &s.Finals[i]
		if f.Start < end.Sample {
			if f.End <= end.Start {
				return nil
			}
			return f
		}
	}
	return nil
}

func inside(ends []material.End, sample int) bool {
	for _, e := range ends {
		if sample > e.Start && sample < e.Sample-insideSlack {
			return true
		}
	}
	return false
}

func touches(ends []material.End, f *Final) bool {
	for _, e := range ends {
		if f.Start < e.Sample && f.End > e.Start {
			return true
		}
	}
	return false
}
