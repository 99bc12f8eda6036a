//go:build !nowhisper

package whispercpp_test

import (
	"math"
	"testing"

	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestNoTextForNoise hears every kind of sound, of several levels and lengths; for hours
// of it there is `rtap bench engines --noise`.
func TestNoTextForNoise(t *testing.T) {
	for name, tt := range map[string]struct {
		path  string
		kinds []string
	}{
		"tiny.en": {testkit.TinyEN(t), synth.Kinds()},
		// As slow as it is, only what resembles speech most.
		"base": {testkit.Base(t), []string{"breath", "music"}},
	} {
		t.Run(name, func(t *testing.T) {
			e, seed := open(t, tt.path, 1), uint64(0)
			for _, kind := range tt.kinds {
				seed++
				n, peak := (4+int(seed*7%8))*transcriber.SampleRateHz, 0.02*math.Pow(2, float64(seed%5))
				got, err := e.Transcribe(t.Context(), synth.Sound(kind, n, peak, seed), transcriber.Options{Language: "en"})
				if err != nil {
					t.Fatal(err)
				}
				if got.Text != "" || got.Dropped == "" {
					t.Errorf("%d s of %s, peak %.2f, seed %d: text %q (%.2f), dropped for %q", n/transcriber.SampleRateHz, kind, peak, seed, got.Text, got.Confidence, got.Dropped)
				}
			}
		})
	}
}
