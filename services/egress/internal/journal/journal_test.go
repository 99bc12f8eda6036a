package journal_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/journal"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output is a log that is read while it is written.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

// grep gives the lines that hold all the words.
func (o *output) grep(words ...string) (found []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
lines:
	for line := range strings.Lines(o.buf.String()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue lines
			}
		}
		found = append(found, line)
	}
	return found
}

// watched is a journal without a bus.
func watched() (*journal.Journal, *output) {
	out := &output{}
	rt := &service.Runtime{Log: slog.New(slog.NewTextHandler(out, nil)), Instance: "me", Metrics: obs.NewMetrics("egress", "test")}
	return journal.New(rt, feed.NewHub(rt)), out
}

func stt(instance, model string, reasons ...string) *rtapv1.ServiceStatus {
	return &rtapv1.ServiceStatus{
		Service: "stt", Instance: instance, Version: "1", State: "active", Ready: len(reasons) == 0, Reasons: reasons,
		Attributes: map[string]string{"engine": "moonshine", "model": model, "warmup_ms": "231"},
	}
}

func TestStagesAreWrittenWhenTheyChange(t *testing.T) {
	j, out := watched()
	for range 5 {
		j.Stages([]*rtapv1.ServiceStatus{stt("a", "tiny"), {Service: "vad", Instance: "b", Ready: true}})
	}
	for _, want := range [][]string{
		{"pipeline stage is there", "stage=stt", "instance=a"}, {"pipeline stage is there", "stage=vad"},
		{"pipeline model loaded and warm", "model=tiny", "warmup_ms=231"},
	} {
		if got := out.grep(want...); len(got) != 1 {
			t.Errorf("%q stands %d times", want, len(got))
		}
	}
	j.Stages([]*rtapv1.ServiceStatus{stt("a", "base", "nats: gone")})
	j.Stages([]*rtapv1.ServiceStatus{stt("a", "base")})
	if len(out.grep("answers no more")) != 0 {
		t.Error("a process that was busy twice counts as gone")
	}
	j.Stages([]*rtapv1.ServiceStatus{stt("a", "base")})
	for _, want := range [][]string{
		{"level=WARN", "pipeline stage is not ready", `reasons="nats: gone"`}, {"level=INFO", "pipeline stage is ready", "instance=a"},
		{"pipeline model loaded and warm", "model=base", "before=tiny"}, {"level=WARN", "pipeline stage answers no more", "stage=vad"},
	} {
		if got := out.grep(want...); len(got) != 1 {
			t.Errorf("%q stands %d times", want, len(got))
		}
	}
}

func TestRateIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, out := watched()
		for n := range 10000 { // a stage that flaps
			if n%2 == 0 {
				j.Stages([]*rtapv1.ServiceStatus{stt("a", "tiny", "no")})
			} else {
				j.Stages([]*rtapv1.ServiceStatus{stt("a", "tiny")})
			}
		}
		if got := len(out.grep("pipeline")); got != 60 {
			t.Errorf("%d lines at once, want 60", got)
		}
		time.Sleep(time.Minute)
		for range 100 {
			j.Stages([]*rtapv1.ServiceStatus{stt("a", "tiny", "no")})
			j.Stages([]*rtapv1.ServiceStatus{stt("a", "tiny")})
		}
		if got := len(out.grep("pipeline")); got != 90 {
			t.Errorf("%d lines after a minute, want 90", got)
		}
	})
}

// running is a journal on a bus of its own.
func running(t *testing.T) (*service.Runtime, *output, *bus.Bus) {
	t.Helper()
	cfg := config.Default()
	other := testkit.Bus(t, cfg)
	out := &output{}
	log := slog.New(slog.NewTextHandler(out, nil))
	b, err := bus.Connect(cfg, t.Name(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rt := &service.Runtime{Config: cfg, Log: log, Service: "egress", Instance: "me", Metrics: obs.NewMetrics("egress", "test"), Bus: b}
	hub := feed.NewHub(rt)
	j := journal.New(rt, hub)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{b.Run, hub.Run, j.Run} {
		wg.Go(func() { _ = run(ctx) })
	}
	t.Cleanup(func() { cancel(); wg.Wait(); b.Conn().Close() })
	if err := b.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rt, out, other
}

func TestEventsOfOthersAreFound(t *testing.T) {
	_, out, b := running(t)
	deadline := time.Now().Add(20 * time.Second)
	for len(out.grep("marker")) == 0 { // until the subscription stands
		b.Emit(&rtapv1.ServiceEvent{Service: "vad", Instance: "v", Kind: "marker"})
		if time.Now().After(deadline) {
			t.Fatal("no event was written")
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, e := range []*rtapv1.ServiceEvent{
		{Service: "egress", Instance: "me", Kind: "state", Message: "mine"},
		{Service: "stt", Instance: "w", Kind: "error", Severity: rtapv1.ServiceEvent_SEVERITY_ERROR, Message: "transcribing failed",
			StreamId: "mic", Attributes: map[string]string{"segment_id": "mic-1-2"}},
		{Service: "vad", Instance: "v", Kind: "last", Message: "last"},
	} {
		b.Emit(e)
	}
	for len(out.grep("event=last")) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if got := out.grep("level=ERROR", "transcribing failed", "stage=stt", "stream_id=mic", "attribute_segment_id=mic-1-2"); len(got) != 1 {
		t.Errorf("the error stands %d times", len(got))
	}
	if got := out.grep("mine"); len(got) != 0 {
		t.Errorf("an event of its own stands again: %q", got)
	}
}

func TestMinuteHasItsLatencies(t *testing.T) {
	j, out := watched()
	j.Summarise()
	if got := out.grep("latency"); len(got) != 0 {
		t.Errorf("a silent minute has %q", got)
	}
	var messages []feed.Message
	for n := range 101 {
		messages = append(messages, feed.Message{Stream: []string{"a", "b"}[n%2], Final: true, Results: &rtapv1.Results{Rtap: &rtapv1.ResultsRtap{
			LatencyMs: &rtapv1.LatencyMs{Pipeline: float64(n), SpeechEndToFinal: 200 + float64(n), Stt: 40.25},
		}}})
	}
	messages = append(messages, feed.Message{Stream: "a", Final: true}, feed.Message{Stream: "a", Results: &rtapv1.Results{}})
	j.Summarise(messages...)
	want := []string{
		`msg="pipeline latency of the last minute"`, "finals=101", "interims=1", "streams=2", "pipeline_p50_ms=50 ", "pipeline_p95_ms=95 ",
		"speech_end_to_final_p50_ms=250 ", "speech_end_to_final_p95_ms=295 ", "stt_p95_ms=40.3",
	}
	if got := out.grep(want...); len(got) != 1 {
		t.Errorf("log %q lacks one of %q", out.grep(""), want)
	}
}
