package moonshine_test

import (
	"math/rand/v2"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

func BenchmarkJFK(b *testing.B) {
	e := open(b)
	pcm := testkit.PCM(b, "jfk.wav")
	for b.Loop() {
		if _, err := e.Transcribe(b.Context(), pcm, transcriber.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncoder(b *testing.B) {
	e := open(b)
	pcm := testkit.PCM(b, "jfk.wav")
	for b.Loop() {
		a, err := e.Encode(b.Context(), pcm)
		if err != nil {
			b.Fatal(err)
		}
		a.Close()
	}
}

// BenchmarkDecoder gives the time of one pass, the first one among them.
func BenchmarkDecoder(b *testing.B) {
	e := open(b)
	a, err := e.Encode(b.Context(), testkit.PCM(b, "jfk.wav"))
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close()
	passes := 0
	for b.Loop() {
		n, err := e.Decode(b.Context(), a)
		if err != nil {
			b.Fatal(err)
		}
		passes += n
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(passes), "ms/token")
}

func BenchmarkBest(b *testing.B) {
	logits := make([]float32, 32768)
	for i := range logits {
		logits[i] = rand.Float32() * 20
	}
	for b.Loop() {
		moonshine.Best(logits)
	}
}
