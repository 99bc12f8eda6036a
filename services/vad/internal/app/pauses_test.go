package app

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a vad process with a connection that is about to be made.
func process(t *testing.T, cfg *config.Config) *service.Runtime {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("vad", "test")
	return &service.Runtime{Config: cfg, Log: log, Service: "vad", Instance: "i", Metrics: m, Health: obs.NewHealth("vad", "i", "test", m), Bus: b}
}

// connected runs a process's bus, and waits until it can be used. When the test ends so does all that the
// group has.
func connected(t *testing.T, rt *service.Runtime) (context.Context, *sync.WaitGroup) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	t.Cleanup(func() { cancel(); wg.Wait(); rt.Bus.Conn().Close() })
	wg.Go(func() { _ = rt.Bus.Run(ctx) })
	if err := rt.Bus.Await(ctx); err != nil {
		t.Fatal(err)
	}
	return ctx, &wg
}

// within waits until something is done; state is what is said when it is not.
func within(t *testing.T, what string, done func() bool, state func() any) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it is %+v", what, state())
		}
	}
}

// TestPausesFollowTheModel: those of a model with longer ones hold as soon as it is asked
// for, those of one with shorter ones when the recogniser has it.
func TestPausesFollowTheModel(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := process(t, cfg)
	b := rt.Bus
	p, err := newPauses(rt)
	if err != nil {
		t.Fatal(err)
	}
	short := p.current()
	if short.HangoverMS >= models.WhisperHangoverMS {
		t.Fatalf("the default model's pauses are %+v", short)
	}
	// What a recogniser says of itself.
	var revision, asked atomic.Uint64
	ctx, wg := connected(t, rt)
	_, err = b.Conn().Subscribe(bus.ControlStatus, func(m *nats.Msg) {
		asked.Add(1)
		data, _ := wire.MarshalJSON(&rtapv1.ServiceStatus{Service: "stt", Instance: "a", Attributes: map[string]string{
			bus.AttributeSettingsRevision: strconv.FormatUint(revision.Load(), 10), bus.AttributeSettingsError: "",
		}})
		_ = m.Respond(data)
	})
	wg.Go(func() { _ = p.follow(ctx) })
	if err != nil {
		t.Fatal(err)
	}
	within := func(what string, done func() bool) {
		t.Helper()
		within(t, what, done, func() any { return p.current() })
	}
	if _, err := b.SetSetting(ctx, "stt.model", "whisper-tiny.en"); err != nil {
		t.Fatal(err)
	}
	within("Whisper is asked for", func() bool { return p.current().HangoverMS == models.WhisperHangoverMS })
	if got := p.current(); got.TailMS != models.WhisperTailMS || got.UtteranceEndMS < got.HangoverMS {
		t.Errorf("Whisper's pauses are %+v", got)
	}
	// A model that nobody knows is the recogniser's to refuse.
	if _, err := b.SetSetting(ctx, "stt.model", "whisper-nothing"); err != nil {
		t.Fatal(err)
	}
	back, err := b.SetSetting(ctx, "stt.model", "moonshine-tiny-en")
	if err != nil {
		t.Fatal(err)
	}
	revision.Store(back - 1)
	before := asked.Load()
	within("the recogniser is asked", func() bool { return asked.Load() > before+1 })
	if got := p.current(); got.HangoverMS != models.WhisperHangoverMS {
		t.Errorf("before the recogniser has the model, the pauses are %+v", got)
	}
	revision.Store(back)
	within("the recogniser has the model", func() bool { return p.current() == short })
}

// TestPausesOfTheConfiguration stand whatever the model.
func TestPausesOfTheConfiguration(t *testing.T) {
	cfg := config.Default()
	cfg.VAD.HangoverMS, cfg.VAD.TailMS, cfg.STT.Model = 192, 64, "no such model"
	m := obs.NewMetrics("vad", "test")
	rt := &service.Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Metrics: m, Health: obs.NewHealth("vad", "i", "test", m)}
	p, err := newPauses(rt)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.current(); got.HangoverMS != 192 || got.TailMS != 64 {
		t.Errorf("pauses %+v", got)
	}
	cfg.VAD.HangoverMS, cfg.VAD.TailMS = 0, 0
	if p, err = newPauses(rt); err != nil || p.current().HangoverMS != models.WhisperHangoverMS {
		t.Errorf("of a model that nobody knows: %+v, %v", p.current(), err)
	}
}
