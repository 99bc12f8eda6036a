// Package bench is `rtap bench`: what the pipeline and the recognisers can do on this
// machine, measured on it.
package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/models"
)

// Commands are those of `rtap bench`; without any of them it is the whole pipeline.
var Commands = arguments.Subs{
	{Name: "latency", Run: short},
	{Name: "stress", Run: stress},
	{Name: "capacity", Run: capacity},
	{Name: "endpointing", Run: endpointing},
	{Name: "utterances", Run: utterances},
	{Name: "noise", Run: noise},
	{Name: "engines", Run: engines},
}

// options of `rtap bench engines`.
type options struct {
	models, clips, config string
	set                   []string
	runs                  int
	noise                 time.Duration
	json                  bool
}

// Run is `rtap bench`.
func Run(ctx context.Context, env lifecycle.Env) error {
	if len(env.Args) == 0 || strings.HasPrefix(env.Args[0], "-") {
		return live(ctx, env)
	}
	return Commands.Run(ctx, env, "rtap bench")
}

func parse(env lifecycle.Env) (o options, err error) {
	fs := flag.NewFlagSet("rtap bench engines", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	fs.StringVar(&o.models, "models", all, "comma-separated `names` and paths; "+all+" is every form of every model that is here")
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings: manifest.json, or x.wav with x.txt (default what make deps brings)")
	fs.IntVar(&o.runs, "runs", 1, "how often to transcribe all of them")
	fs.DurationVar(&o.noise, "noise", 0, "`duration` of sounds that are no speech, which must give no text")
	fs.BoolVar(&o.json, "json", false, "as JSON")
	fs.StringVar(&o.config, "config", "", "configuration `file` (default config/default.yaml)")
	fs.Func("set", "`key=value` over the configuration; may be repeated", func(s string) error {
		o.set = append(o.set, s)
		return nil
	})
	others, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	if len(others) > 0 || o.runs < 1 || o.noise < 0 {
		return o, lifecycle.Usage(fmt.Errorf("rtap bench engines: bad arguments %v: --runs wants at least 1, --noise no less than 0", others))
	}
	return o, nil
}

// row is a model's measurement, or why there is none.
type row struct {
	subject
	*bench.Report
	Err string `json:"error,omitempty"`
}

// result is what --json prints.
type result struct {
	Machine machineInfo `json:"machine"`
	Models  []row       `json:"models"`
}

type machineInfo struct {
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Threads int    `json:"threads"`
	Usable  int    `json:"usable_threads"` // what a container's limit leaves
}

// engines measures one model after another, so that none is in another's way.
func engines(ctx context.Context, env lifecycle.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	catalogue, err := models.Load()
	if err != nil {
		return lifecycle.Usage(err)
	}
	subjects, err := choose(catalogue, o.models)
	if err != nil {
		return lifecycle.Usage(err)
	}
	cpu, err := machine.This.CPU()
	if err != nil {
		return err
	}
	res := result{Machine: machineInfo{CPU: cpu.Model, Cores: cpu.Cores, Threads: cpu.Threads, Usable: runtime.GOMAXPROCS(0)}}
	var failed []string
	for i, s := range subjects {
		fmt.Fprintf(env.Stderr, "%d of %d: %s\n", i+1, len(subjects), s)
		r := row{subject: s}
		if r.Report, err = try(ctx, env, o, s); ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.Err = err.Error()
			failed = append(failed, s.String())
		}
		res.Models = append(res.Models, r)
	}
	if o.json {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(res)
	} else {
		err = table(env.Stdout, res)
	}
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if len(failed) > 0 {
		return fmt.Errorf("measuring failed for %s", strings.Join(failed, ", "))
	}
	return nil
}
