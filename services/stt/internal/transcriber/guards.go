package transcriber

import (
	"math"
	"slices"
)

// What a text was dropped for, in both engines; rtap_shed_total{reason="text_…"} counts them, and docs/MODELS.md says
// what each engine takes for what.
const (
	DropNoAudio    = "no_audio"
	DropSilence    = "silence"
	DropUncertain  = "uncertain"
	DropNoSpeech   = "no_speech"
	DropRepetition = "repetition"
	DropSound      = "sound"
)

// SilencePeak is the level (-54 dBFS) below which nothing can be speech.
const SilencePeak = 0.002

// Clean copies pcm with what is not a number as 0, within -1 to 1, filled up with silence
// to least samples and cut at most, and returns the highest level.
func Clean(pcm []float32, least, most int) (out []float32, peak float32) {
	pcm = pcm[:min(len(pcm), most)]
	out = make([]float32, max(len(pcm), least))
	for i, x := range pcm {
		if x != x || math.IsInf(float64(x), 0) {
			x = 0
		}
		x = min(1, max(-1, x))
		out[i] = x
		peak = max(peak, x, -x)
	}
	return out, peak
}

// Repeats says whether the end of tokens is one phrase of up to eight tokens four times over.
func Repeats[T comparable](tokens []T) bool { return repeats(tokens, 1, 8, 4) }

// Loops is stricter: it also finds a phrase of 6 to 32 tokens three times over, anywhere
// at the end, which is how a decoder that has lost its place goes on, and one that goes
// round in circles.
func Loops[T comparable](tokens []T) bool {
	return Repeats(tokens) || repeats(tokens, 6, 32, 3) || circles(tokens)
}

// circles says whether four in ten phrases of six tokens have been there before. A loop
// often changes a little each time, "it was the age of foolishness, it was the age of the
// age of foolishness", and never repeats exactly; what people say, rhetoric included,
// stays below one in ten.
func circles[T comparable](tokens []T) bool {
	const phrase, least = 6, 24
	if len(tokens) < least {
		return false
	}
	seen := map[[phrase]T]bool{}
	for i := range len(tokens) - phrase + 1 {
		seen[[phrase]T(tokens[i:])] = true
	}
	return 10*len(seen) < 6*(len(tokens)-phrase+1)
}

// BeginsAgain says whether text goes back: it ends with four words or more that were said just before them, in
// text or in what came before it. People say a phrase twice, too: that costs a second inference, without what came before.
func BeginsAgain(before, text []string) bool {
	return repeats(slices.Concat(before, text), 4, len(text), 2)
}

func repeats[T comparable](tokens []T, shortest, longest, times int) bool {
	for n := shortest; n <= longest && times*n <= len(tokens); n++ {
		end := tokens[len(tokens)-times*n:]
		if slices.Equal(end[:(times-1)*n], end[n:]) {
			return true
		}
	}
	return false
}

// GeometricMean of probabilities; 0 without any.
func GeometricMean(p []float64) float64 {
	if len(p) == 0 {
		return 0
	}
	var sum float64
	for _, x := range p {
		sum += math.Log(max(x, 1e-12))
	}
	return math.Exp(sum / float64(len(p)))
}
