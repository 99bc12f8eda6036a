package bench

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/synth"
	"github.com/rtap/rtap/pkg/wav"
)

// noiseStreams are heard at the same time, each its share of the whole.
const noiseStreams = 4

// noise is `rtap bench noise`: sounds that are no speech, of every kind and level, through
// the whole pipeline. Each text is an invented one.
func noise(ctx context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap bench noise", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	var flags service.Flags
	flags.Register(fs)
	long := fs.Duration("duration", time.Hour, "`duration` of all sounds together")
	rest, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	if len(rest) > 0 || *long < time.Minute {
		return lifecycle.Usage(fmt.Errorf("rtap bench noise: bad arguments %v: --duration wants at least 1m", rest))
	}
	dir, err := rig.Folder("rtap-bench-audio-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var sources []string
	for n := range noiseStreams {
		path := filepath.Join(dir, fmt.Sprintf("noise-%d.wav", n))
		pcm := sounds(int((*long/noiseStreams).Seconds()*synth.SampleRateHz), uint64(n))
		if err := os.WriteFile(path, wav.Format(wav.Audio{SampleRateHz: synth.SampleRateHz, PCM: pcm}), 0o600); err != nil {
			return fmt.Errorf("writing sounds: %w", err)
		}
		sources = append(sources, "file:"+path+"?pace=fast")
	}
	texts, dropped, err := hearAll(ctx, env, flags, sources)
	if err != nil {
		return err
	}
	fmt.Fprintf(env.Stdout, "%s of %d kinds of sound through the whole pipeline: %d texts; shed %s\n", *long, len(synth.Kinds()), len(texts), counts(dropped))
	for _, t := range texts {
		fmt.Fprintln(env.Stdout, "invented:", t)
	}
	if len(texts) > 0 {
		return fmt.Errorf("%d texts where nobody speaks", len(texts))
	}
	return nil
}

// sounds is one sound after another, of one to fifteen seconds.
func sounds(samples int, seed uint64) (out []float32) {
	r := rand.New(rand.NewPCG(seed, 7))
	kinds, peaks := synth.Kinds(), []float64{0.01, 0.1, 0.5}
	for i := uint64(0); len(out) < samples; i++ {
		n := min((1+r.IntN(15))*synth.SampleRateHz, samples-len(out))
		out = append(out, synth.Sound(kinds[r.IntN(len(kinds))], n, peaks[r.IntN(len(peaks))], seed<<32|i)...)
	}
	return out
}

// hearAll plays sources as fast as the pipeline takes them; it returns every text, final or
// not, and what was shed by reason.
func hearAll(ctx context.Context, env lifecycle.Env, flags service.Flags, sources []string) (texts []string, shed map[string]int, err error) {
	ctx, cancel := context.WithTimeout(ctx, fastTimeout)
	defer cancel()
	pipe, err := rig.Start(ctx, rig.Options{Flags: flags, STT: 1, Sources: sources, Environ: env.Environ, Services: []string{"egress"}})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = pipe.Close() }()
	feed, err := rig.Follow(ctx, pipe, true)
	if err != nil {
		return nil, nil, err
	}
	defer feed.Close()
	var metrics *rig.Metrics
	began := time.Now()
	err = ears{feed}.untilEnded(ctx, pipe, len(sources), func() error {
		if time.Since(began) > 2*time.Second { // processes go when the last source has ended
			if m, err := pipe.Scrape(ctx); err == nil {
				metrics, began = m, time.Now()
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if m, err := pipe.Scrape(ctx); err == nil {
		metrics = m
	}
	for _, m := range feed.Messages() {
		if text := m.Text(); text != "" {
			texts = append(texts, fmt.Sprintf("%q at %.1f s of %s (final %v)", text, m.Start, m.Rtap.Stream, m.IsFinal))
		}
	}
	shed = map[string]int{}
	if metrics != nil {
		for key, n := range metrics.Counters {
			if label, ok := strings.CutPrefix(key, "rtap_shed_total{"); ok && n > 0 {
				shed[value(label)] += int(n)
			}
		}
	}
	return texts, shed, nil
}
