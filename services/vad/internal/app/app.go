// Package app wires the vad process: it finds streams that have audio and follows each.
package app

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/silero"
	"github.com/rtap/rtap/services/vad/internal/stream"
	"google.golang.org/protobuf/proto"
)

// discoverEvery bounds how long a new stream waits when its event was not heard.
const discoverEvery = 500 * time.Millisecond

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

// Detector is a stream's own, to be closed after use.
type Detector interface {
	stream.Detector
	Close() error
}

// Follow works on every stream that has audio until ctx is done, each with a detector of
// its own.
func Follow(ctx context.Context, rt *service.Runtime, detect func() (Detector, error)) error {
	f := &follower{rt: rt, detect: detect, following: map[string]bool{}}
	return f.run(ctx)
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

type follower struct {
	rt     *service.Runtime
	detect func() (Detector, error)

	mu        sync.Mutex
	following map[string]bool
}

func (f *follower) run(ctx context.Context) error {
	if err := f.rt.Bus.Await(ctx); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	unsubscribe, err := f.rt.Bus.Subscribe(bus.Event("capture", "source"), func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer unsubscribe()
	f.rt.Health.SetState(obs.StateActive)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		ids, err := f.rt.Bus.AudioStreams(ctx)
		if err != nil && ctx.Err() == nil {
			f.rt.Log.Debug("listing streams failed", "error", err)
		}
		for _, id := range ids {
			if f.claim(id) {
				wg.Go(func() {
					defer f.release(id)
					f.follow(ctx, id)
				})
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-time.After(discoverEvery):
		}
	}
}

func (f *follower) claim(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.following[id] {
		return false
	}
	f.following[id] = true
	f.show()
	return true
}

func (f *follower) release(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.following, id)
	f.show()
}

func (f *follower) show() {
	ids := []string{}
	for id := range f.following {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	f.rt.Health.SetStreams(ids)
}

// follow works on a stream until it ends or ctx does; each trouble starts it anew from
// the checkpoint.
func (f *follower) follow(ctx context.Context, id string) {
	for ctx.Err() == nil {
		ended, err := f.once(ctx, id)
		switch {
		case ended || ctx.Err() != nil:
			return
		case errors.Is(err, stream.ErrTaken):
			f.rt.Log.Warn("another process holds the stream", "stream_id", id)
		case err != nil:
			f.rt.Log.Warn("following a stream failed", "stream_id", id, "error", err)
			f.rt.Metrics.Errors.WithLabelValues("vad", "follow").Inc()
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// once reads the stream from its first stored frame; what the checkpoint has passed is
// dropped by number. It returns at the end of the stream and at every reconnection.
func (f *follower) once(ctx context.Context, id string) (ended bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reconnected := f.rt.Bus.Reconnected()
	detector, err := f.detect()
	if err != nil {
		return false, err
	}
	defer func() { _ = detector.Close() }()
	s, err := stream.New(ctx, id, f.rt.Config, f.rt.Bus, f.rt.Log, f.rt.Metrics, detector)
	if err != nil {
		return false, err
	}
	defer s.Close()
	c, err := f.rt.Bus.JS().OrderedConsumer(ctx, bus.StreamAudio, jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.Audio(id)}})
	if err != nil {
		return false, err
	}
	frames := make(chan *rtapv1.Frame, 64)
	consuming, err := c.Consume(func(msg jetstream.Msg) {
		frame := &rtapv1.Frame{}
		if err := proto.Unmarshal(msg.Data(), frame); err != nil {
			f.rt.Metrics.Errors.WithLabelValues("vad", "bad_frame").Inc()
			return
		}
		select {
		case frames <- frame:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return false, err
	}
	defer func() { cancel(); consuming.Stop(); <-consuming.Closed() }()
	quiet := time.Duration(f.rt.Config.Audio.RingBufferSizeMS) * time.Millisecond
	idle := time.NewTimer(quiet)
	defer idle.Stop()
	for {
		f.rt.Metrics.BufferUtilization.WithLabelValues("vad").Set(float64(len(frames)) / float64(cap(frames)))
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-reconnected:
			return false, nil
		case frame := <-frames:
			idle.Reset(quiet)
			if err := s.Take(ctx, frame); err != nil {
				return false, err
			}
		case <-idle.C:
			// An ended stream is left until a new epoch shows up.
			idle.Reset(quiet)
			if s.Ended() {
				continue
			}
			if err := s.Idle(ctx); err != nil {
				return false, err
			}
		}
	}
}
