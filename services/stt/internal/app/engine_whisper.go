//go:build !nowhisper

package app

import (
	"fmt"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"github.com/rtap/rtap/services/stt/internal/whispercpp"
)

func init() {
	engines[models.EngineWhisper] = engine{
		open: openWhisper, version: whispercpp.Version, missing: whispercpp.Missing, gpu: whispercpp.GPU, threads: freeCores,
		quantise: whispercpp.Quantise, copies: func() int { return 1 },
	}
}

func openWhisper(m models.Model, o openOptions) (transcriber.Engine, error) {
	if missing := whispercpp.Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("this CPU lacks %v, which libwhisper was built to use: build with WHISPER_NATIVE=1 on this machine", missing)
	}
	file, err := ggml.Check(m.Path)
	if err != nil {
		return nil, err
	}
	if err := fits(m.Path, file.Memory()); err != nil {
		return nil, err
	}
	return whispercpp.New(whispercpp.Config{Path: m.Path, Name: m.Name, Threads: o.threads, BeamSize: o.beamSize})
}

// fits refuses a model that the machine or the container cannot hold.
func fits(path string, need int64) error {
	free, boundBy, err := machine.This.AvailableMemory()
	if err != nil {
		return nil //nolint:nilerr // not to know is no reason to refuse
	}
	if need > free {
		return fmt.Errorf("%s needs up to %d MB of memory, and %s leaves %d MB: choose a smaller model or form (`rtap models list`)",
			path, need>>20, boundBy, free>>20)
	}
	return nil
}
