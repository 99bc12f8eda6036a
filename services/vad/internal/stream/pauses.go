package stream

import "github.com/rtap/rtap/pkg/config"

// Pauses are the silences that count: what closes a segment, how much of it the segment
// keeps, and what ends the utterance. They belong to the recogniser's model.
type Pauses struct{ HangoverMS, TailMS, UtteranceEndMS int }

// PausesOf returns those of a configuration.
func PausesOf(cfg *config.Config) Pauses {
	return Pauses{cfg.VAD.HangoverMS, cfg.VAD.TailMS, cfg.VAD.UtteranceEndMS}
}

// SetPauses changes them from the next frame on. An open segment is closed by the new ones:
// the model that they belong to will hear it. What is speculated on it is compared with the
// segment's end as always.
func (s *Stream) SetPauses(p Pauses) {
	if p == s.pauses {
		return
	}
	s.pauses = p
	if s.seg != nil {
		s.seg.SetPauses(s.samples(p.HangoverMS), s.samples(p.TailMS), s.samples(p.UtteranceEndMS))
	}
}
