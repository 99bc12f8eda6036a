// Package app wires the stt process: it chooses the model, warms it up and runs a worker
// for each copy.
package app

import (
	"context"
	"fmt"
	"runtime"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/stt/internal/moonshine"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// Run is the stt process.
func Run(ctx context.Context, env lifecycle.Env) error {
	rt, err := service.Start(env, nil)
	if err != nil {
		return err
	}
	var parts []lifecycle.Part
	for n := range rt.Config.Resilience.Bulkhead.MaxConcurrent {
		engine, err := open(rt)
		if err != nil {
			return err
		}
		w := transcriber.New(rt, engine)
		parts = append(parts, lifecycle.Part{
			Name: fmt.Sprintf("worker %d", n),
			Run: func(ctx context.Context) error {
				if err := warmUp(ctx, engine); err != nil {
					return err
				}
				if err := rt.Bus.Await(ctx); err != nil {
					return err
				}
				rt.Health.SetState(obs.StateActive)
				return w.Run(ctx)
			},
			Stop: func(context.Context) error { return engine.Close() },
		})
	}
	return rt.Run(ctx, rt.Config.HTTP.STT, "http.stt", parts...)
}

// open loads the configured model.
func open(rt *service.Runtime) (transcriber.Engine, error) {
	cfg := rt.Config.STT
	name := cfg.Model
	if name == "auto" {
		name = moonshine.Name
	}
	if name != moonshine.Name {
		return nil, lifecycle.Usage(fmt.Errorf("stt.model: bad value %q: want one of auto, %s", cfg.Model, moonshine.Name))
	}
	if cfg.Language != "en" && cfg.Language != "auto" {
		return nil, lifecycle.Usage(fmt.Errorf("stt.language: bad value %q: %s knows en", cfg.Language, name))
	}
	threads := cfg.Threads
	if threads == 0 {
		threads = max(1, runtime.NumCPU()-1)
	}
	engine, err := moonshine.New(threads)
	if err != nil {
		return nil, err
	}
	info := engine.Info()
	rt.Log.Info("model loaded", "engine", info.Engine, "model", info.Model, "version", info.Version, "chosen_by", cfg.Model, "threads", threads)
	rt.Metrics.STTInfo.WithLabelValues(info.Engine, info.Model).Set(1)
	rt.Health.SetAttribute("engine", info.Engine)
	rt.Health.SetAttribute("model", info.Model)
	return engine, nil
}

// warmUp makes the first real segment as fast as the next: a second of faint tone goes
// through every layer.
func warmUp(ctx context.Context, e transcriber.Engine) error {
	pcm := make([]float32, transcriber.SampleRateHz)
	for i := range pcm {
		pcm[i] = 0.01 * float32(i%64-32) / 32
	}
	if _, err := e.Transcribe(ctx, pcm, transcriber.Options{Language: "en"}); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}
