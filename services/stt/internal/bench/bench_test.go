package bench

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake engine: says what hear returns, and counts copies.
type fake struct {
	hear func(pcm []float32) transcriber.Transcript
	open *int
}

var _ transcriber.Engine = (*fake)(nil)

func (f *fake) Transcribe(ctx context.Context, pcm []float32, _ transcriber.Options) (transcriber.Transcript, error) {
	return f.hear(pcm), ctx.Err()
}
func (f *fake) Info() transcriber.Info {
	return transcriber.Info{Engine: "fake", Model: "m", Version: "1"}
}
func (f *fake) Close() error { *f.open--; return nil }

func opener(open *int, hear func([]float32) transcriber.Transcript) func() (transcriber.Engine, error) {
	return func() (transcriber.Engine, error) { *open++; return &fake{hear, open}, nil }
}

func TestRun(t *testing.T) {
	second := make([]float32, 16000)
	open, calls := 0, 0
	r, err := Run(t.Context(), Config{
		Open: opener(&open, func(pcm []float32) transcriber.Transcript {
			calls++
			if len(pcm) == 8000 {
				return transcriber.Transcript{Dropped: "uncertain"}
			}
			return transcriber.Transcript{Text: "a b"}
		}),
		Clips: []Clip{
			{Name: "x.wav", Text: "A b, a c.", Pieces: [][]float32{second, second}}, // one wrong
			{Name: "y.wav", Text: "a b", Pieces: [][]float32{second}},
			{Name: "z.wav", Text: "d", Pieces: [][]float32{second[:8000]}}, // one missing
		},
		Runs: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Words != 7 || r.Errors != 2 || r.WER != 2.0/7 || r.Clips != 4 || r.AudioSeconds != 3.5 || r.Unheard["uncertain"] != 1 {
		t.Errorf("%+v", r)
	}
	if len(r.Recordings) != 3 || r.Recordings[0].Errors != 1 || r.Recordings[0].Text != "a b a b" {
		t.Errorf("%+v", r.Recordings)
	}
	if calls != 2*4+2+4*4+2 || open != 0 || r.NoiseSegments != 0 || r.Engine != "fake" || r.BeforeMB <= 0 {
		t.Errorf("%d calls, %d copies left open, %+v", calls, open, r)
	}
}

func TestNoise(t *testing.T) {
	open := 0
	var lengths []int
	cfg := Config{
		Open: opener(&open, func(pcm []float32) transcriber.Transcript {
			lengths = append(lengths, len(pcm))
			if len(lengths)%4 != 0 {
				return transcriber.Transcript{Text: "Thank you.", Confidence: 0.5}
			}
			return transcriber.Transcript{Dropped: transcriber.DropSilence}
		}),
		Clips: []Clip{{Text: "a", Pieces: [][]float32{make([]float32, 16000)}}}, Runs: 1, Noise: 5 * time.Minute,
	}
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.NoiseSeconds != 300 || r.NoiseTexts+r.NoiseDropped[transcriber.DropSilence] != r.NoiseSegments || r.NoiseTexts < r.NoiseSegments*3/4 {
		t.Errorf("%.1f s, %d segments, %d texts, dropped %v", r.NoiseSeconds, r.NoiseSegments, r.NoiseTexts, r.NoiseDropped)
	}
	if len(r.Invented) != mostInvented || r.Invented[0].Text != "Thank you." || r.Invented[0].Kind == "" {
		t.Errorf("invented %+v", r.Invented)
	}
	for _, n := range lengths[3 : len(lengths)-1] { // the clip thrice first; the last one is cut
		if n < leastNoise || n > mostNoise {
			t.Errorf("noise of %d samples", n)
		}
	}
}

func TestRunFails(t *testing.T) {
	boom := errors.New("boom")
	clips := []Clip{{Text: "a", Pieces: [][]float32{make([]float32, 100)}}}
	if _, err := Run(t.Context(), Config{Clips: clips, Open: func() (transcriber.Engine, error) { return nil, boom }}); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if _, err := Run(t.Context(), Config{}); err == nil {
		t.Error("no error without clips")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	open := 0
	say := func([]float32) transcriber.Transcript { return transcriber.Transcript{} }
	if _, err := Run(ctx, Config{Clips: clips, Runs: 1, Open: opener(&open, say)}); !errors.Is(err, context.Canceled) || open != 0 {
		t.Errorf("cancelled: %v, %d copies left open", err, open)
	}
}
