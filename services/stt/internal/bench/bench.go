// Package bench measures one recogniser: how right it is on recordings with texts, how
// fast, what memory it takes, and whether it stays silent on what is no speech. The
// engine works alone, with no voice detector before it.
package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// Config says what to measure.
type Config struct {
	// Open loads a copy of the model; it is called twice.
	Open    func() (transcriber.Engine, error)
	Options transcriber.Options
	Clips   []Clip
	Runs    int           // over all clips, at least 1
	Noise   time.Duration // 0 for none
	// Progress of the noise is written here; may be nil.
	Progress io.Writer
}

// Run measures; it blocks until done. The process must do nothing else, or the memory
// that it reports is not the model's.
func Run(ctx context.Context, cfg Config) (r bench.Report, err error) {
	longest := longestPiece(cfg.Clips)
	if longest == nil {
		return r, errors.New("no audio to measure with")
	}
	if cfg.Progress == nil {
		cfg.Progress = io.Discard
	}
	before, err := residentMB()
	if err != nil {
		return r, err
	}
	began := time.Now()
	e, err := cfg.Open()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	info := e.Info()
	r.Engine, r.Model, r.Version = info.Engine, info.Model, info.Version
	r.LoadMS, r.BeforeMB, r.Runs = milliseconds(time.Since(began)), before, cfg.Runs
	if r.LoadedMB, err = residentMB(); err != nil {
		return r, err
	}
	if _, err := e.Transcribe(ctx, longest, cfg.Options); err != nil {
		return r, fmt.Errorf("transcribing the longest clip: %w", err)
	}
	if r.FirstMB, err = residentMB(); err != nil {
		return r, err
	}
	r.MemoryMB = r.FirstMB - r.BeforeMB
	if err := speech(ctx, e, cfg, &r); err != nil {
		return r, err
	}
	if err := words(ctx, e, cfg, &r); err != nil {
		return r, err
	}
	if r.CopyMB, err = secondCopy(ctx, cfg, longest); err != nil {
		return r, err
	}
	return r, noise(ctx, e, cfg, &r)
}

// speech fills in everything about the clips.
func speech(ctx context.Context, e transcriber.Engine, cfg Config, r *bench.Report) error {
	r.Unheard = map[string]int{}
	var times []time.Duration
	var spent time.Duration
	samples := 0
	for run := range cfg.Runs {
		for _, c := range cfg.Clips {
			var heard []string
			for _, pcm := range c.Pieces {
				began := time.Now()
				t, err := e.Transcribe(ctx, pcm, cfg.Options)
				if err != nil {
					return fmt.Errorf("transcribing %s: %w", c.Name, err)
				}
				times = append(times, time.Since(began))
				spent, samples = spent+times[len(times)-1], samples+len(pcm)
				heard = append(heard, t.Text)
				if t.Text == "" && run == 0 {
					r.Unheard[t.Dropped]++
				}
			}
			if run > 0 {
				continue // greedy decoding says the same again
			}
			// Over the whole recording: a word at a cut may come in either piece.
			rec := bench.Recording{File: c.Name, Text: strings.Join(heard, " ")}
			rec.Errors, rec.Words = wer.Errors(c.Text, rec.Text)
			r.Recordings = append(r.Recordings, rec)
			r.Clips, r.Errors, r.Words = r.Clips+len(c.Pieces), r.Errors+rec.Errors, r.Words+rec.Words
		}
	}
	r.AudioSeconds = seconds(samples) / float64(cfg.Runs)
	r.WER = float64(r.Errors) / float64(max(1, r.Words))
	r.Interval = bench.Interval(r.Errors, r.Words)
	r.P50MS, r.P95MS = milliseconds(bench.Percentile(times, 0.5)), milliseconds(bench.Percentile(times, 0.95))
	r.RTF = spent.Seconds() / seconds(samples)
	return nil
}

// secondCopy returns by how much another copy makes the process grow; 0 when it cannot be
// loaded, which a machine short of memory refuses.
func secondCopy(ctx context.Context, cfg Config, pcm []float32) (mb float64, err error) {
	before, err := residentMB()
	if err != nil {
		return 0, err
	}
	e, err := cfg.Open()
	if err != nil {
		return 0, nil //nolint:nilerr // the first one was loaded: there is no room for two
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if _, err := e.Transcribe(ctx, pcm, cfg.Options); err != nil {
		return 0, fmt.Errorf("transcribing with a second copy: %w", err)
	}
	after, err := residentMB()
	return max(0, after-before), err // what the engine gives back meanwhile may be more
}

func longestPiece(clips []Clip) (longest []float32) {
	for _, c := range clips {
		for _, p := range c.Pieces {
			if len(p) > len(longest) {
				longest = p
			}
		}
	}
	return longest
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }

func seconds(samples int) float64 { return float64(samples) / transcriber.SampleRateHz }
