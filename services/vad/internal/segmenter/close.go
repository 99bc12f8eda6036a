package segmenter

import "slices"

// Conclude closes the open segment before its hangover has passed, if
// the newest frame is no speech.
func (s *Segmenter) Conclude(reason string) []Decision {
	if !s.open || s.newest >= s.cfg.Onset {
		return nil
	}
	out := s.close(true, reason)
	return append(out, s.silence(s.quiet)...)
}

// Flush closes what is open: the source ended, the audio has a gap, or a client asked.
func (s *Segmenter) Flush(reason string) []Decision {
	var out []Decision
	// What ends without a frame since a cut may have its rest in what comes next.
	untouched := s.open && s.cut && len(s.frames) == 0 && reason != "finalize"
	if s.open && !untouched {
		// What is missing behind it may be the rest of a word: how short it is tells nothing.
		s.cut = s.cut || reason == "gap"
		out = s.close(true, reason)
	}
	if s.utterance && reason != "finalize" {
		s.utterance = false
		out = append(out, Decision{Kind: UtteranceEnd, Start: s.at, End: s.at, SpeechEnd: s.speechEnd, Reason: reason})
	}
	s.frames, s.start = nil, s.at
	return out
}

// Interrupt closes what is open because no audio comes for now. What comes later follows
// without a gap: the rest of a word then belongs to a segment however short it is, and a
// beginning that is too short to be one stays open.
func (s *Segmenter) Interrupt(reason string) []Decision {
	open := s.open
	if open && s.brief() {
		return nil
	}
	out := s.Flush(reason)
	if open {
		s.open, s.cut = true, true
	}
	return out
}

// Break closes what is open because the audio goes on as another epoch, with the rest of a
// word perhaps. Until something else is heard the segment stays open, for a successor, too.
func (s *Segmenter) Break(reason string) []Decision {
	open := s.open
	s.cut = s.cut || open
	out := s.Flush(reason)
	s.open, s.cut = open, open
	return out
}

// close ends the open segment after its tail.
func (s *Segmenter) close(bySilence bool, reason string) []Decision {
	d := Decision{Kind: Closed, Start: s.start, SpeechEnd: s.speechEnd, BySilence: bySilence, Reason: reason}
	n, end := s.upTo(max(s.speechEnd+s.cfg.Tail, s.spokenEnd))
	d.End, d.PCM = end, s.join(n)
	if s.brief() {
		d.Kind, d.PCM = Dropped, nil
	} else {
		s.utterance = true
	}
	s.frames, s.start = s.frames[n:], d.End
	s.open, s.cut, s.speech = false, false, 0
	s.trim()
	return []Decision{d}
}

// forcedCut splits a segment at its maximum, at the weakest frame of its last third.
func (s *Segmenter) forcedCut() []Decision {
	from := len(s.frames) * 2 / 3
	weakest := from
	for i := from; i < len(s.frames)-1; i++ {
		if s.frames[i].p <= s.frames[weakest].p {
			weakest = i
		}
	}
	n := weakest + 1
	d := Decision{Kind: Closed, Start: s.start, End: s.start, Reason: "max_segment"}
	for _, f := range s.frames[:n] {
		d.End += len(f.pcm)
	}
	d.PCM, d.SpeechEnd = s.join(n), min(s.speechEnd, d.End)
	s.frames, s.start = slices.Clone(s.frames[n:]), d.End
	s.utterance, s.cut, s.speech = true, true, 0
	for _, f := range s.frames {
		if s.spoken(f.p) {
			s.speech += len(f.pcm)
		}
	}
	return []Decision{d}
}
