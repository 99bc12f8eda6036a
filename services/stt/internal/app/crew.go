package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// reloadLease is held while a process changes its workers' model, so that never two do.
const reloadLease = "stt-reload"

// crew is the workers of this process, each with a copy of the model.
type crew struct {
	rt      *service.Runtime
	workers []*transcriber.Worker
	load    transcriber.Load
	breaker *transcriber.Breaker // nil until the first worker is there

	mu       sync.Mutex
	settings config.STT // as taken over
	plan     plan       // of what is loaded
	engines  []transcriber.Engine
}

func newCrew(rt *service.Runtime) (*crew, error) {
	c := &crew{rt: rt, settings: rt.Config.STT}
	for more := true; more; more = len(c.workers) < c.plan.copies {
		began := time.Now()
		p, e, err := withFallback(rt.Config.STT, c.asked())
		if err == nil {
			c.engines = append(c.engines, e)
			err = warmUp(context.Background(), e, p.job)
		}
		if err != nil {
			return nil, errors.Join(err, c.close())
		}
		// One copy is kept free of interims for what will be final.
		w := transcriber.New(rt, e, p.job)
		w.Load = &c.load
		if c.breaker == nil {
			c.breaker = w.Breaker
		}
		w.Breaker = c.breaker
		w.Interims = len(c.workers) == 0 || len(c.workers) < p.copies-1
		c.workers = append(c.workers, w)
		c.plan = p
		c.loaded(p, e, time.Since(began))
	}
	c.load.SetEngines(c.plan.copies)
	return c, nil
}

// asked is the number of copies in the configuration, 0 for the engine's own choice.
func (c *crew) asked() int { return c.rt.Config.Resilience.Bulkhead.MaxConcurrent }

// loaded says what is in use now, and how long loading and warm-up took.
func (c *crew) loaded(p plan, e transcriber.Engine, took time.Duration) {
	info := e.Info()
	c.rt.Log.Info("model loaded", "engine", info.Engine, "model", info.Model, "version", info.Version, "dtype", p.model.Dtype,
		"path", p.model.Path, "chosen_by", p.why, "copies", p.copies, "threads", p.options.threads, "language", p.job.Language,
		"warmup_ms", took.Milliseconds())
	c.rt.Metrics.STTInfo.Reset()
	c.rt.Metrics.STTInfo.WithLabelValues(info.Engine, info.Model).Set(1)
	c.rt.Metrics.BulkheadMax.Reset()
	c.rt.Metrics.BulkheadMax.WithLabelValues(info.Engine).Set(float64(p.copies))
	for key, value := range map[string]string{
		"engine": info.Engine, "model": info.Model, "dtype": p.model.Dtype, "chosen_by": p.why, "threads": strconv.Itoa(p.options.threads),
		"warmup_ms": strconv.FormatInt(took.Milliseconds(), 10),
	} {
		c.rt.Health.SetAttribute(key, value)
	}
}

func (c *crew) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, e := range c.engines {
		if e != nil {
			errs = append(errs, e.Close())
		}
	}
	c.engines = nil
	return errors.Join(errs...)
}

// follow takes over what `rtap config set` changes, and the configuration files after a
// SIGHUP.
func (c *crew) follow(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	if err := c.rt.Bus.Await(ctx); err != nil {
		return err
	}
	changes := make(chan service.Settings)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { c.rt.WatchSettings(ctx, changes) })
	var last service.Settings
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			c.rt.Log.Info("reading the configuration again", "because", "SIGHUP")
		case last = <-changes:
		}
		c.apply(ctx, last)
	}
}

// apply brings the workers to the settings, or keeps everything as it is and says why.
func (c *crew) apply(ctx context.Context, to service.Settings) {
	cfg, err := c.rt.Reload(to.Values)
	var p plan
	if err == nil {
		p, err = choose(cfg.STT, c.asked())
		if err != nil && cfg.STT == c.settings && len(to.Values) == 0 {
			return // on the fallback, and the model is still not there
		}
	}
	if err == nil && (cfg.STT != c.settings || p.model.Path != c.plan.model.Path || p.model.Name != c.plan.model.Name) {
		from := c.settings
		if err = c.reload(ctx, p); err == nil {
			c.settings = cfg.STT
			c.rt.Emit("config", rtapv1.ServiceEvent_SEVERITY_INFO, "recogniser changed", func(e *rtapv1.ServiceEvent) {
				e.From, e.To = describe(from), describe(cfg.STT)
			})
		}
	}
	if ctx.Err() != nil {
		return
	}
	problem := ""
	if err != nil {
		problem = err.Error()
		c.rt.Log.Error("new settings are refused; everything stays as it was", "error", err)
		c.rt.Metrics.Errors.WithLabelValues("stt", "reload").Inc()
		c.rt.Emit("config", rtapv1.ServiceEvent_SEVERITY_ERROR, "new settings refused: "+problem, nil)
	}
	c.rt.Health.SetAttribute(bus.AttributeSettingsError, problem)
	c.rt.Health.SetAttribute(bus.AttributeSettingsRevision, strconv.FormatUint(to.Revision, 10))
}

func describe(s config.STT) string {
	return fmt.Sprintf("model=%s language=%s task=%s compute_dtype=%s beam_size=%d threads=%d", s.Model, s.Language, s.Task, s.ComputeDtype, s.BeamSize, s.Threads)
}

// reload gives each worker the new model in turn: the old one serves until the new one is
// warm, and elsewhere the others go on. Workers beyond the model's number of copies rest.
// After a failure those that had it get the old one again.
func (c *crew) reload(ctx context.Context, p plan) error {
	return c.rt.Lease(reloadLease).Do(ctx, func(ctx context.Context, _ lease.Token) error {
		for i := range c.workers {
			err := c.put(ctx, i, p)
			if err == nil {
				continue
			}
			for j := range i {
				err = errors.Join(err, c.put(ctx, j, c.plan))
			}
			return err
		}
		c.plan = p
		c.load.SetEngines(min(p.copies, len(c.workers)))
		if c.breaker != nil {
			c.breaker.Reset(p.model.Engine)
		}
		return nil
	})
}

// put loads a plan's model and gives it to a worker.
func (c *crew) put(ctx context.Context, worker int, p plan) error {
	began := time.Now()
	var e transcriber.Engine
	if worker < p.copies {
		var err error
		if e, err = p.load(); err != nil {
			return err
		}
		if err := warmUp(ctx, e, p.job); err != nil {
			return errors.Join(err, e.Close())
		}
		c.loaded(p, e, time.Since(began))
	}
	old := c.workers[worker].Swap(e, p.job)
	c.mu.Lock()
	c.engines[worker] = e
	c.mu.Unlock()
	if old == nil {
		return nil
	}
	if err := old.Close(); err != nil {
		c.rt.Log.Warn("closing the old model failed", "error", err)
	}
	return nil
}
