package moonshine

import (
	"math"
	"testing"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestPauseBetweenSentences: whose first sentence is said fast has a long pause at its mark
// all the same, while a short one may lie between any two words.
func TestPauseBetweenSentences(t *testing.T) {
	const second = transcriber.SampleRateHz
	tone := func(n int) []float32 {
		out := make([]float32, n)
		for i := range out {
			out[i] = 0.3 * float32(math.Sin(2*math.Pi*220*float64(i)/second))
		}
		return out
	}
	for pause, want := range map[int]int{second: 3, second / 5: 2} {
		audio := append(append(tone(second), make([]float32, pause)...), tone(19*second/10)...)
		var words []transcriber.Word
		for _, text := range []string{"one", "two", "three.", "four", "five", "six"} {
			words = append(words, transcriber.Word{Text: text})
		}
		spread(words, audio)
		before := 0
		for _, w := range words {
			if w.End <= second+window {
				before++
			}
		}
		if before != want {
			t.Errorf("%d words before a pause of %.1f s, want %d: %v", before, float64(pause)/second, want, words)
		}
	}
}
