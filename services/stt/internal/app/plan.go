package app

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
)

// plannedModel is what a worker would load, or why it would not.
type plannedModel struct {
	Asked   string   `json:"asked"` // the value of stt.model or stt.fallback_model
	Model   string   `json:"model"`
	Engine  string   `json:"engine"`
	Path    string   `json:"path"` // empty for pinned files
	Dtype   string   `json:"dtype"`
	Why     string   `json:"why"`
	Threads int      `json:"threads"`
	Missing []string `json:"missing_cpu_features"`
	Error   string   `json:"error"`
}

// printPlan is `rtap-stt plan [--config FILE] [--set key=value]…`: what a worker with this
// configuration would choose, as JSON. Nothing is loaded; a choice that fails is part of
// the answer and no failure of the command.
func printPlan(env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap-stt plan", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	var f service.Flags
	f.Register(fs)
	if err := fs.Parse(env.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: err}
		}
		return lifecycle.Usage(err)
	}
	loaded, err := f.Load(env.Environ)
	if err != nil {
		return err
	}
	var out struct {
		Copies   int           `json:"copies"` // in one process, each with the model in memory
		Model    plannedModel  `json:"model"`
		Fallback *plannedModel `json:"fallback"`
	}
	out.Copies = loaded.Resilience.Bulkhead.MaxConcurrent
	p, err := choose(loaded.STT, out.Copies)
	if err != nil && loaded.STT.FallbackModel != "" {
		p, err = choose(asFallback(loaded.STT), out.Copies)
	}
	if err == nil {
		out.Copies = p.copies
	}
	out.Model = describePlan(loaded.STT, out.Copies)
	if loaded.STT.FallbackModel != "" {
		fallback := describePlan(asFallback(loaded.STT), out.Copies)
		out.Fallback = &fallback
	}
	if err := json.NewEncoder(env.Stdout).Encode(out); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

func describePlan(cfg config.STT, copies int) plannedModel {
	out := plannedModel{Asked: cfg.Model, Missing: []string{}}
	p, err := choose(cfg, copies)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Model, out.Engine, out.Path, out.Dtype = p.model.Name, p.model.Engine, p.model.Path, p.model.Dtype
	out.Why, out.Threads = p.why, p.options.threads
	if missing := engines[p.model.Engine].missing; missing != nil {
		out.Missing = append(out.Missing, missing()...)
	}
	return out
}
