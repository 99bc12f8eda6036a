package app

import (
	"context"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/vad/internal/stream"
)

const (
	// askEvery and askFor: how often and how long recognisers are asked which settings they have.
	askEvery = 500 * time.Millisecond
	askFor   = 300 * time.Millisecond
)

// pauses are those of all streams, which follow the recogniser's model: of the configuration,
// and then of what `rtap config set` makes of it.
type pauses struct {
	rt        *service.Runtime
	catalogue *models.Catalogue
	now       atomic.Pointer[stream.Pauses]
}

// newPauses takes those of the configuration. A model that is unknown here is the
// recogniser's to refuse.
func newPauses(rt *service.Runtime) (*pauses, error) {
	catalogue, err := models.Load()
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	p := &pauses{rt: rt, catalogue: catalogue}
	want, err := p.wanted(rt.Config)
	if err != nil {
		rt.Log.Warn("taking the pauses of Whisper models", "because", err)
		want = filled(rt.Config, models.WhisperHangoverMS, models.WhisperTailMS)
	}
	p.set(want)
	return p, nil
}

func (p *pauses) current() stream.Pauses { return *p.now.Load() }

func (p *pauses) set(to stream.Pauses) {
	p.now.Store(&to)
	p.rt.Log.Info("endpointing", "hangover_ms", to.HangoverMS, "tail_ms", to.TailMS, "utterance_end_ms", to.UtteranceEndMS)
	p.rt.Health.SetAttribute("hangover_ms", strconv.Itoa(to.HangoverMS))
}

// wanted asks the catalogue for what a configuration leaves to the model.
func (p *pauses) wanted(cfg *config.Config) (stream.Pauses, error) {
	hangover, tail, err := p.catalogue.Pauses(cfg.STT.Model, cfg.STT.Language, cfg.STT.Task)
	if err != nil && (cfg.VAD.HangoverMS == 0 || cfg.VAD.TailMS == 0) {
		return stream.Pauses{}, err
	}
	return filled(cfg, hangover, tail), nil
}

// filled is what the configuration says, else a model's hangover and tail.
func filled(cfg *config.Config, hangover, tail int) stream.Pauses {
	out := stream.PausesOf(cfg)
	if out.HangoverMS == 0 {
		out.HangoverMS = hangover
	}
	if out.TailMS == 0 {
		out.TailMS = min(tail, out.HangoverMS)
	}
	out.UtteranceEndMS = max(out.UtteranceEndMS, out.HangoverMS)
	return out
}

// follow takes over what a change of the model, while RTAP runs, asks for.
func (p *pauses) follow(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	changes := make(chan service.Settings)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { p.rt.WatchSettings(ctx, changes) })
	var last service.Settings
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
		case last = <-changes:
		case <-again:
		}
		again = nil
		if !p.apply(ctx, last) {
			again = time.After(askEvery)
		}
	}
}

// apply brings the pauses to the settings, and says whether that is done. Longer ones are
// taken at once: every model is the better for them. Shorter ones wait until the recognisers
// have the model that can do with them, which takes seconds, and may be refused.
func (p *pauses) apply(ctx context.Context, to service.Settings) bool {
	cfg, err := p.rt.Reload(to.Values)
	var want stream.Pauses
	if err == nil {
		want, err = p.wanted(cfg)
	}
	if err != nil {
		p.rt.Log.Warn("the pauses stay as they are", "because", err)
		return true
	}
	now := p.current()
	if want == now {
		return true
	}
	if want.HangoverMS < now.HangoverMS && !p.taken(ctx, to.Revision) {
		return false
	}
	p.set(want)
	return true
}

// taken says whether every recogniser that answers has taken over a change of settings.
func (p *pauses) taken(ctx context.Context, revision uint64) bool {
	statuses, err := p.rt.Bus.Statuses(ctx, askFor)
	if err != nil {
		return false
	}
	there := 0
	for _, s := range statuses {
		if s.GetService() != "stt" {
			continue
		}
		there++
		at, err := strconv.ParseUint(s.GetAttributes()[bus.AttributeSettingsRevision], 10, 64)
		if err != nil || at < revision || s.GetAttributes()[bus.AttributeSettingsError] != "" {
			return false
		}
	}
	return there > 0
}
