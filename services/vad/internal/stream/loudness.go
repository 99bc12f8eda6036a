package stream

import "math"

// loudnessFall is how fast the loudness of speech is forgotten, in dB a frame: 3 dB a second.
const loudnessFall = 0.1

// loudness follows how loud the speech of the open segment is. The detector still takes the
// frames after a word for speech, up to a quarter of a second; where a recording is clean,
// its level says at once that nobody speaks any more.
type loudness struct {
	speech float64 // dB of the loudest frame, slowly forgotten
}

// begin starts with a frame of speech.
func (l *loudness) begin(pcm []int16) { l.speech = levelOf(pcm) }

// silent says whether a frame lies so many dB below the speech before it; p is what the
// detector thinks of it. A drop of 0 never does.
func (l *loudness) silent(pcm []int16, p, onset, drop float64) bool {
	level := levelOf(pcm)
	if p >= onset {
		l.speech = max(l.speech-loudnessFall, level)
	}
	return drop > 0 && level < l.speech-drop
}

// levelOf returns the mean level of samples in dB relative to full scale.
func levelOf(pcm []int16) float64 {
	var sum float64
	for _, x := range pcm {
		sum += float64(x) * float64(x)
	}
	return float64(decibels(math.Sqrt(sum / float64(max(1, len(pcm))))))
}
