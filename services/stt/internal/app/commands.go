package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
)

// command runs what is no service: `rtap-stt engines`, `plan`, `bench`,
// and `quantise IN OUT DTYPE`.
func command(ctx context.Context, env lifecycle.Env) (done bool, err error) {
	if len(env.Args) == 0 {
		return false, nil
	}
	switch env.Args[0] {
	case "engines":
		return true, listEngines(env)
	case "plan":
		return true, printPlan(env)
	case "quantise":
		return true, quantise(ctx, env)
	case "bench":
		return true, measure(ctx, env)
	default:
		return false, nil
	}
}

// engineInfo is what `rtap-stt engines` says of one engine of this build.
type engineInfo struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	GPU     string   `json:"gpu"`
	Missing []string `json:"missing_cpu_features"`
}

func quantise(ctx context.Context, env lifecycle.Env) error {
	if len(env.Args) != 4 {
		return lifecycle.Usage(errors.New("usage: rtap-stt quantise IN OUT q8_0|q5_1"))
	}
	e, ok := engines[models.EngineWhisper]
	if !ok {
		return lifecycle.Usage(errors.New("this build leaves whisper.cpp, and with it the quantiser, out"))
	}
	return ggml.Quantise(ctx, env.Args[1], env.Args[2], env.Args[3], e.quantise)
}

func listEngines(env lifecycle.Env) error {
	out := []engineInfo{}
	for _, name := range slices.Sorted(maps.Keys(engines)) {
		e := engines[name]
		info := engineInfo{Name: name, Version: e.version(), Missing: []string{}}
		if e.gpu != nil {
			info.GPU = e.gpu()
		}
		if e.missing != nil {
			info.Missing = append(info.Missing, e.missing()...)
		}
		out = append(out, info)
	}
	if err := json.NewEncoder(env.Stdout).Encode(out); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}
