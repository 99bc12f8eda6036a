package app

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// engine is one that this build has; build tags leave them out.
type engine struct {
	open    func(models.Model, openOptions) (transcriber.Engine, error)
	version func() string
	// missing lists CPU features that the library needs and this machine lacks; may be nil.
	missing func() []string
	// gpu names the device that the library will use; "" or nil for the CPU.
	gpu func() string
	// copies is how many serve one process where resilience.bulkhead.max_concurrent leaves it open.
	copies func() int
	// threads is what one of so many copies takes where stt.threads leaves it open.
	threads func(copies int) int
	// quantise stores weights in fewer bits; may be nil.
	quantise ggml.Quantiser
}

type openOptions struct{ threads, beamSize int }

// engines is filled by the engine_*.go files that the build tags let in.
var engines = map[string]engine{}

// maxThreads: more do not make whisper.cpp's small matrices faster.
const maxThreads = 8

// freeCores leaves one core to the rest of the pipeline and shares the others. GOMAXPROCS
// already respects a container's limit.
func freeCores(copies int) int { return min(maxThreads, max(1, (runtime.GOMAXPROCS(0)-1)/copies)) }

// plan is what a configuration asks of a worker.
type plan struct {
	copies  int // of the model, each for one inference at a time
	model   models.Model
	options openOptions
	job     transcriber.Options
	// why the model was chosen: "stt.model", "auto: …" or "fallback: …"
	why string
}

// choose finds the model that the settings name; what cannot be is the user's to mend. No
// copies leave their number to the engine.
func choose(cfg config.STT, copies int) (plan, error) {
	catalogue, err := models.Load()
	if err != nil {
		return plan{}, lifecycle.Usage(err)
	}
	name, why := cfg.Model, "stt.model"
	if name == models.Auto {
		name, why = auto(cfg, catalogue)
	}
	m, err := catalogue.Resolve(name, cfg.ComputeDtype)
	if err != nil {
		return plan{}, lifecycle.Usage(fmt.Errorf("stt.model: %w", err))
	}
	e, ok := engines[m.Engine]
	if !ok {
		return plan{}, lifecycle.Usage(fmt.Errorf("stt.model: %s needs the engine %s, which this build leaves out; it has %s",
			m.Name, m.Engine, strings.Join(slices.Sorted(maps.Keys(engines)), ", ")))
	}
	if err := m.Speaks(cfg.Language); err != nil {
		return plan{}, lifecycle.Usage(fmt.Errorf("stt.language: %w", err))
	}
	if err := m.Does(cfg.Task); err != nil {
		return plan{}, lifecycle.Usage(fmt.Errorf("stt.task: %w", err))
	}
	if copies == 0 {
		copies = e.copies()
	}
	threads := cfg.Threads
	if threads == 0 {
		threads = e.threads(copies)
	}
	return plan{
		copies: copies, model: m, why: why, options: openOptions{threads: threads, beamSize: cfg.BeamSize},
		job: transcriber.Options{Language: cfg.Language, Translate: cfg.Task == models.TaskTranslate},
	}, nil
}

// auto takes Whisper where there is a GPU or the language calls for it, else Moonshine.
func auto(cfg config.STT, c *models.Catalogue) (name, why string) {
	const small = "whisper-base"
	if e, ok := engines[models.EngineWhisper]; ok && e.gpu != nil && e.gpu() != "" {
		for _, name := range []string{"whisper-large-v3-turbo", "whisper-small", small} {
			if m, err := c.Resolve(name, cfg.ComputeDtype); err == nil && m.Speaks(cfg.Language) == nil && m.Does(cfg.Task) == nil {
				return name, "auto: the best one here for " + e.gpu()
			}
		}
	}
	name, why = models.AutoCPU(cfg.Language, cfg.Task)
	if e, _ := c.Find(name); e != nil && engines[e.Engine].open == nil {
		return small, "auto: this build leaves " + e.Engine + " out"
	}
	return name, why
}

// load opens the plan's model.
func (p plan) load() (transcriber.Engine, error) {
	e, err := engines[p.model.Engine].open(p.model, p.options)
	if err != nil {
		return nil, lifecycle.Usage(fmt.Errorf("stt.model: %w", err))
	}
	return e, nil
}

// withFallback chooses and loads a model, and takes stt.fallback_model when that fails.
func withFallback(cfg config.STT, copies int) (plan, transcriber.Engine, error) {
	p, err := choose(cfg, copies)
	if err == nil {
		var e transcriber.Engine
		if e, err = p.load(); err == nil {
			return p, e, nil
		}
	}
	if cfg.FallbackModel == "" {
		return plan{}, nil, err
	}
	p, e, fallbackErr := withFallback(asFallback(cfg), copies)
	if fallbackErr != nil {
		return plan{}, nil, fmt.Errorf("%w; and stt.fallback_model: %w", err, fallbackErr)
	}
	p.why = "fallback: " + err.Error()
	return p, e, nil
}

// asFallback asks for stt.fallback_model in whatever form is there.
func asFallback(cfg config.STT) config.STT {
	cfg.Model, cfg.ComputeDtype, cfg.FallbackModel = cfg.FallbackModel, "auto", ""
	return cfg
}
