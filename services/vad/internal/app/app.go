// Package app wires the vad process: it finds streams that have audio and follows each.
package app

import (
	"context"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/vad/internal/silero"
)

// Run is the vad process.
func Run(ctx context.Context, env lifecycle.Env) error {
	rt, err := service.Start(env, nil)
	if err != nil {
		return err
	}
	if err := pauses(rt); err != nil {
		return err
	}
	model, err := silero.New()
	if err != nil {
		return lifecycle.Usage(err)
	}
	detect := func() (Detector, error) { return model.NewStream() }
	return rt.Run(ctx, rt.Config.HTTP.VAD, "http.vad", lifecycle.Part{
		Name: "streams", Run: func(ctx context.Context) error { return Follow(ctx, rt, detect) },
		Stop: func(context.Context) error { return model.Close() },
	})
}

// pauses asks the catalogue for the hangover and the tail that the configuration leaves to
// the model. A model that is unknown here is the recogniser's to refuse.
func pauses(rt *service.Runtime) error {
	v, stt := &rt.Config.VAD, rt.Config.STT
	if v.HangoverMS != 0 && v.TailMS != 0 {
		return nil
	}
	catalogue, err := models.Load()
	if err != nil {
		return lifecycle.Usage(err)
	}
	hangover, tail, err := catalogue.Pauses(stt.Model, stt.Language, stt.Task)
	if err != nil {
		rt.Log.Warn("taking the pauses of Whisper models", "because", err)
		hangover, tail = models.WhisperHangoverMS, models.WhisperTailMS
	}
	if v.HangoverMS == 0 {
		v.HangoverMS = hangover
	}
	if v.TailMS == 0 {
		v.TailMS = min(tail, v.HangoverMS)
	}
	v.UtteranceEndMS = max(v.UtteranceEndMS, v.HangoverMS)
	rt.Log.Info("endpointing", "hangover_ms", v.HangoverMS, "tail_ms", v.TailMS, "utterance_end_ms", v.UtteranceEndMS)
	return nil
}
