package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// command runs what is no service: `rtap-stt engines`.
func command(_ context.Context, env lifecycle.Env) (done bool, err error) {
	if len(env.Args) == 0 {
		return false, nil
	}
	switch env.Args[0] {
	case "engines":
		return true, listEngines(env)
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
