// Package app wires the stt process: it chooses the model, warms it up, runs a worker for
// each copy, and changes the model while the work goes on.
package app

import (
	"context"
	"fmt"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// Run is the stt process, or one of its commands.
func Run(ctx context.Context, env lifecycle.Env) error {
	if done, err := command(ctx, env); done {
		return err
	}
	rt, err := service.Start(env, nil)
	if err != nil {
		return err
	}
	c, err := load(ctx, rt)
	if err != nil {
		return err
	}
	parts := []lifecycle.Part{{Name: "engines", Stop: func(context.Context) error { return c.close() }}}
	for n, w := range c.workers {
		parts = append(parts, lifecycle.Part{Name: fmt.Sprintf("worker %d", n), Run: func(ctx context.Context) error {
			if err := rt.Bus.Await(ctx); err != nil {
				return err
			}
			rt.Health.SetState(obs.StateActive)
			return w.Run(ctx)
		}})
	}
	parts = append(parts,
		lifecycle.Part{Name: "redelivery", Run: func(ctx context.Context) error { return transcriber.WatchRedelivery(ctx, rt) }},
		lifecycle.Part{Name: "settings", Run: c.follow},
	)
	return rt.Run(ctx, rt.Config.HTTP.STT, "http.stt", parts...)
}

// load loads the models. That cannot be broken off, and a large one takes longer than a
// process may take to stop: who is told to stop meanwhile ends without it, having nothing
// in flight.
func load(ctx context.Context, rt *service.Runtime) (*crew, error) {
	type outcome struct {
		c   *crew
		err error
	}
	loaded := make(chan outcome, 1)
	go func() {
		c, err := newCrew(rt)
		loaded <- outcome{c, err}
	}()
	select {
	case o := <-loaded:
		return o.c, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// warmUp makes the first real segment as fast as the next: a second of faint tone goes
// through every layer.
func warmUp(ctx context.Context, e transcriber.Engine, opts transcriber.Options) error {
	pcm := make([]float32, transcriber.SampleRateHz)
	for i := range pcm {
		pcm[i] = 0.01 * float32(i%64-32) / 32
	}
	if _, err := e.Transcribe(ctx, pcm, opts); err != nil {
		return fmt.Errorf("warming up: %w", err)
	}
	return nil
}
