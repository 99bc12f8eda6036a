package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/stt/internal/bench"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// benchOptions are the flags of `rtap-stt bench`.
type benchOptions struct {
	flags               service.Flags
	model, dtype, clips string
	runs                int
	noise               time.Duration
	json                bool
}

func parseBench(env lifecycle.Env) (o benchOptions, err error) {
	fs := flag.NewFlagSet("rtap-stt bench", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.flags.Register(fs)
	fs.StringVar(&o.model, "model", "", "`name` or path of the model (default stt.model)")
	fs.StringVar(&o.dtype, "dtype", "", "`form` of the model (default stt.compute_dtype)")
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings: manifest.json, or x.wav with x.txt (default what make deps brings)")
	fs.IntVar(&o.runs, "runs", 1, "how often to transcribe all of them")
	fs.DurationVar(&o.noise, "noise", 0, "`duration` of sounds that are no speech, which must give no text")
	fs.BoolVar(&o.json, "json", false, "on one line")
	if err := fs.Parse(env.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: err}
		}
		return o, lifecycle.Usage(err)
	}
	if fs.NArg() > 0 || o.runs < 1 || o.noise < 0 {
		return o, lifecycle.Usage(fmt.Errorf("rtap-stt bench: bad arguments %v: --runs wants at least 1, --noise no less than 0", fs.Args()))
	}
	return o, nil
}

// measure is `rtap-stt bench`: one model, in a process of its own so that its memory can
// be told. It prints a bench.Report.
func measure(ctx context.Context, env lifecycle.Env) error {
	o, err := parseBench(env)
	if err != nil {
		return err
	}
	cfg, err := o.flags.Load(env.Environ)
	if err != nil {
		return err
	}
	if o.model != "" {
		cfg.STT.Model = o.model
	}
	if o.dtype != "" {
		cfg.STT.ComputeDtype = o.dtype
	}
	if o.clips == "" {
		root, err := native.Root()
		if err != nil {
			return lifecycle.Usage(fmt.Errorf("%w, or name a folder with --clips", err))
		}
		o.clips = filepath.Join(root, "audio")
	}
	clips, err := bench.ReadClips(o.clips)
	if err != nil {
		return lifecycle.Usage(err)
	}
	p, err := choose(cfg.STT, cfg.Resilience.Bulkhead.MaxConcurrent)
	if err != nil {
		return err
	}
	r, err := bench.Run(ctx, bench.Config{
		Open: func() (transcriber.Engine, error) { return p.load() }, Options: p.job, Clips: clips,
		Runs: o.runs, Noise: o.noise, Progress: env.Stderr,
	})
	if err != nil {
		return err
	}
	r.Dtype, r.Threads = p.model.Dtype, p.options.threads
	enc := json.NewEncoder(env.Stdout)
	if !o.json {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
