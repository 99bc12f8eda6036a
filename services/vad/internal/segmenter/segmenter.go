// Package segmenter decides where segments of speech begin and end. It is a pure state
// machine over frames of 512 samples: no clock, no I/O, positions counted in samples.
package segmenter

import "slices"

// FrameSamples is the length of a frame at 16 kHz.
const FrameSamples = 512

// Config in samples, rounded up to whole frames where it counts silence or speech.
//
// Onset opens a segment, and below Offset silence begins in it. An Offset above Onset finds
// the end of speech sooner: a voice that dies away counts as silence while it still would
// open a segment. Then a segment is closed only at a frame below Onset, so that a low voice
// is not cut into pieces, and holds that voice.
type Config struct {
	Onset, Offset                                  float64
	PreRoll, Hangover, Tail, MinSpeech, MaxSegment int
	UtteranceEnd, RestAfter                        int
}

// Kind of a decision.
type Kind int

// Decisions.
const (
	Started      Kind = iota + 1 // speech has begun; Start is where
	Closed                       // a segment is complete
	Dropped                      // the burst was shorter than MinSpeech
	UtteranceEnd                 // silence has lasted UtteranceEnd
	Rest                         // nothing for RestAfter: a good place for a checkpoint
)

// Decision is one outcome. PCM belongs to the receiver.
type Decision struct {
	Kind Kind
	// Samples of the epoch, half open.
	Start, End int
	PCM        []int16
	// SpeechEnd is the end of the last frame of speech.
	SpeechEnd int
	// BySilence is true when silence closed the segment, false for a forced cut.
	BySilence bool
	Reason    string
}

type frame struct {
	p   float64
	pcm []int16
}

// Segmenter holds one stream's state.
type Segmenter struct {
	cfg       Config
	at        int     // samples taken
	spokenEnd int     // end of the last frame that counts as speech; after speechEnd for a low voice
	newest    float64 // probability of the last frame
	before    float64 // and of the one before it
	frames    []frame // the open segment with its pre-roll, or the pre-roll alone
	start     int     // sample at which frames begins
	open      bool
	speech    int // samples of speech in the open segment
	speechEnd int
	cut       bool // the open segment may be the rest of one that was cut
	quiet     int  // samples since the last speech
	utterance bool // an utterance is open
}

// State is what a successor needs to decide as this one would have: it hears the audio
// again from At on.
type State struct {
	At        int // first sample that is in no closed segment
	SpeechEnd int // end of the last speech before At
	Utterance bool
	Cut       bool // a segment was cut at At, and what follows may be its rest
}

// New starts afresh (At 0) or where a predecessor stopped.
func New(cfg Config, from State) *Segmenter {
	return &Segmenter{
		cfg: cfg, at: from.At, start: from.At, speechEnd: from.SpeechEnd, quiet: max(0, from.At-from.SpeechEnd),
		utterance: from.Utterance, open: from.Cut, cut: from.Cut,
	}
}

// SetPauses changes what silence means from the next frame on, for an open segment as well.
func (s *Segmenter) SetPauses(hangover, tail, utteranceEnd int) {
	s.cfg.Hangover, s.cfg.Tail, s.cfg.UtteranceEnd = hangover, tail, utteranceEnd
}

// State describes the point from which a successor must go on.
func (s *Segmenter) State() State {
	return State{At: s.start, SpeechEnd: min(s.speechEnd, s.start), Utterance: s.utterance, Cut: s.open && s.cut}
}

// At returns the samples taken so far.
func (s *Segmenter) At() int { return s.at }

// IsOpen says whether a segment is open.
func (s *Segmenter) IsOpen() bool { return s.open }

// Open says whether a segment is open, and gives its audio so far and where it starts.
func (s *Segmenter) Open() (pcm []int16, start int, open bool) {
	if !s.open {
		return nil, 0, false
	}
	return s.join(len(s.frames)), s.start, true
}

// Quiet returns the samples of silence at the end of the open segment; 0 while speech goes
// on and when none is open.
func (s *Segmenter) Quiet() int {
	if !s.open {
		return 0
	}
	return s.quiet
}

// Presumed is the open segment as silence would close it: with the tail and no more. ok is
// false before the tail is there, while a low voice goes on, and for a burst that would be
// dropped. A voice that fades may be gone with the next frame, which would close the segment.
func (s *Segmenter) Presumed() (pcm []int16, start, end int, ok bool) {
	if !s.open || s.quiet < s.cfg.Tail || s.newest >= s.cfg.Onset && !s.fading() || s.brief() {
		return nil, 0, 0, false
	}
	n, end := s.upTo(max(s.speechEnd+s.cfg.Tail, s.spokenEnd))
	return s.join(n), s.start, end, true
}

// Push takes a frame with its probability of speech. What is not a number counts as 0.
func (s *Segmenter) Push(p float64, pcm []int16) []Decision {
	if p != p {
		p = 0
	}
	s.frames = append(s.frames, frame{p, slices.Clone(pcm)})
	s.at += len(pcm)
	s.before, s.newest = s.newest, p
	threshold := s.cfg.Onset
	if s.open {
		threshold = s.cfg.Offset
	}
	if p >= threshold {
		s.quiet = 0
		s.speechEnd = s.at
	} else {
		s.quiet += len(pcm)
	}
	if s.spoken(p) {
		s.speech += len(pcm)
		s.spokenEnd = s.at
	}
	switch {
	case !s.open && p >= threshold:
		s.open, s.speech = true, len(pcm)
		return []Decision{{Kind: Started, Start: s.at - len(pcm), SpeechEnd: s.at}}
	case !s.open:
		s.trim()
		return s.silence(len(pcm))
	case s.quiet >= s.cfg.Hangover && p < s.cfg.Onset:
		out := s.close(true, "silence")
		return append(out, s.silence(s.quiet)...)
	case s.at-s.start >= s.cfg.MaxSegment:
		return s.forcedCut()
	}
	return nil
}

// silence reports what a stretch of silence that has just grown by step has reached.
func (s *Segmenter) silence(step int) []Decision {
	if s.utterance && s.quiet >= s.cfg.UtteranceEnd {
		s.utterance = false
		return []Decision{{Kind: UtteranceEnd, Start: s.at, End: s.at, SpeechEnd: s.speechEnd, Reason: "silence"}}
	}
	if s.cfg.RestAfter > 0 && s.quiet/s.cfg.RestAfter > (s.quiet-step)/s.cfg.RestAfter {
		return []Decision{{Kind: Rest, Start: s.at, End: s.at, SpeechEnd: s.speechEnd}}
	}
	return nil
}

// fading says whether the next frame may close a segment that a low voice still holds open.
func (s *Segmenter) fading() bool {
	return s.quiet >= s.cfg.Hangover-FrameSamples && s.newest < s.before && s.newest < (s.cfg.Onset+s.cfg.Offset)/2
}

// spoken says whether a frame counts as speech of an open segment.
func (s *Segmenter) spoken(p float64) bool { return p >= min(s.cfg.Onset, s.cfg.Offset) }

// brief says whether the open segment has too little speech to be one.
func (s *Segmenter) brief() bool { return s.speech == 0 || (s.speech < s.cfg.MinSpeech && !s.cut) }

// upTo returns how many of the frames reach to a sample, or as far as there is audio, and
// where the last of them ends.
func (s *Segmenter) upTo(sample int) (n, end int) {
	for end = s.start; n < len(s.frames) && end < min(s.at, sample); n++ {
		end += len(s.frames[n].pcm)
	}
	return n, end
}

// trim keeps no more than the pre-roll while nothing is open.
func (s *Segmenter) trim() {
	for len(s.frames) > 0 && (s.at-s.start-len(s.frames[0].pcm) >= s.cfg.PreRoll) {
		s.start += len(s.frames[0].pcm)
		s.frames = s.frames[1:]
	}
}

func (s *Segmenter) join(n int) []int16 {
	out := make([]int16, 0, n*FrameSamples)
	for _, f := range s.frames[:n] {
		out = append(out, f.pcm...)
	}
	return out
}
