package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

const (
	// A voice detector lets through from one second to its longest segment.
	leastNoise, mostNoise = transcriber.SampleRateHz, 15 * transcriber.SampleRateHz
	// mostInvented texts are reported; the rest are only counted.
	mostInvented = 20
	// progressEvery so much time a line says how far the noise is.
	progressEvery = 15 * time.Second
)

// peaks: from far away to clipping nearly.
var peaks = []float64{0.01, 0.1, 0.5}

// noise lets the engine hear sounds of every kind, level and length in turn, the same ones
// each time.
func noise(ctx context.Context, e transcriber.Engine, cfg Config, r *bench.Report) error {
	r.NoiseDropped, r.Invented = map[string]int{}, []bench.Invented{}
	want := int(cfg.Noise.Seconds() * transcriber.SampleRateHz)
	lengths := rand.New(rand.NewPCG(1, 2))
	kinds := synth.Kinds()
	var spent time.Duration
	done, told := 0, time.Now()
	for i := 0; done < want; i++ {
		sound := bench.Invented{
			Kind: kinds[i%len(kinds)], Peak: peaks[i/len(kinds)%len(peaks)], Seed: uint64(i),
			Samples: min(leastNoise+lengths.IntN(mostNoise-leastNoise), want-done),
		}
		pcm := synth.Sound(sound.Kind, sound.Samples, sound.Peak, sound.Seed)
		began := time.Now()
		t, err := e.Transcribe(ctx, pcm, cfg.Options)
		if err != nil {
			return fmt.Errorf("transcribing %s: %w", sound.Kind, err)
		}
		spent += time.Since(began)
		done += len(pcm)
		r.NoiseSegments++
		if t.Text == "" {
			r.NoiseDropped[t.Dropped]++
		} else if r.NoiseTexts++; len(r.Invented) < mostInvented {
			sound.Text, sound.Confidence = t.Text, t.Confidence
			r.Invented = append(r.Invented, sound)
		}
		if time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Fprintf(cfg.Progress, "noise: %.0f of %.0f s, %d texts\n", seconds(done), seconds(want), r.NoiseTexts)
		}
	}
	if done > 0 {
		r.NoiseSeconds, r.NoiseRTF = seconds(done), spent.Seconds()/seconds(done)
	}
	return nil
}
