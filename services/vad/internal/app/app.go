// Package app wires the vad process: it finds streams that have audio and follows each.
package app

import (
	"context"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/vad/internal/silero"
)

// Run is the vad process.
func Run(ctx context.Context, env lifecycle.Env) error {
	rt, err := service.Start(env, nil)
	if err != nil {
		return err
	}
	p, err := newPauses(rt)
	if err != nil {
		return err
	}
	model, err := silero.New()
	if err != nil {
		return lifecycle.Usage(err)
	}
	detect := func() (Detector, error) { return model.NewStream() }
	return rt.Run(ctx, rt.Config.HTTP.VAD, "http.vad", lifecycle.Part{Name: "pauses", Run: p.follow}, lifecycle.Part{
		Name: "streams", Run: func(ctx context.Context) error { return follow(ctx, rt, detect, p.current) },
		Stop: func(context.Context) error { return model.Close() },
	})
}
