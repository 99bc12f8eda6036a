package app

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// named is an engine that is only its name.
type named struct {
	name   string
	closed bool
}

var _ transcriber.Engine = (*named)(nil)

func (e *named) Transcribe(context.Context, []float32, transcriber.Options) (transcriber.Transcript, error) {
	return transcriber.Transcript{}, nil
}
func (e *named) Info() transcriber.Info { return transcriber.Info{Engine: "fake", Model: e.name} }
func (e *named) Close() error           { e.closed = true; return nil }

// TestReload changes two copies: both change, or both stay, and nothing is left open.
func TestReload(t *testing.T) {
	const kind = "fake"
	for name, tt := range map[string]struct {
		failAt int // the call of open that fails; 0 for none
		want   string
	}{"both": {0, "new"}, "the second cannot load": {2, "old"}} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			b := testkit.Bus(t, cfg)
			m := obs.NewMetrics("stt", "test")
			c := &crew{rt: &service.Runtime{
				Config: cfg, Log: slog.New(slog.DiscardHandler), Service: "stt", Instance: t.Name(), Metrics: m,
				Health: obs.NewHealth("stt", "i", "test", m), Bus: b,
			}}
			var opened []*named
			calls := 0
			engines[kind] = engine{open: func(model models.Model, _ openOptions) (transcriber.Engine, error) {
				if calls++; calls == tt.failAt {
					return nil, errors.New("no memory")
				}
				e := &named{name: model.Name}
				opened = append(opened, e)
				return e, nil
			}}
			t.Cleanup(func() { delete(engines, kind) })
			of := func(name string) plan {
				return plan{copies: 2, model: models.Model{Entry: models.Entry{Name: name, Engine: kind}}}
			}
			c.plan = of("old")
			for range 2 {
				e := &named{name: "old"}
				opened, c.engines = append(opened, e), append(c.engines, e)
				c.workers = append(c.workers, transcriber.New(c.rt, e, transcriber.Options{}))
			}
			if err := c.reload(t.Context(), of("new")); (err != nil) != (tt.failAt > 0) {
				t.Errorf("reload: %v", err)
			}
			if c.plan.model.Name != tt.want {
				t.Errorf("the plan is %s", c.plan.model.Name)
			}
			for i, e := range c.engines {
				if e.Info().Model != tt.want {
					t.Errorf("worker %d has %s, want %s", i, e.Info().Model, tt.want)
				}
			}
			open := 0
			for _, e := range opened {
				if !e.closed {
					open++
				}
			}
			if open != 2 {
				t.Errorf("%d engines are open", open)
			}
			if tt.failAt > 0 {
				return
			}
			// A model of one copy lets the second worker rest, one of two gives it work again.
			for copies := 1; copies <= 2; copies++ {
				p := of("next")
				p.copies = copies
				if err := c.reload(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				if c.engines[0] == nil || (c.engines[1] == nil) != (copies == 1) {
					t.Errorf("%d copies: engines %v", copies, c.engines)
				}
			}
		})
	}
}
