package control_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const instance = "some.host-7"

// process is one that answers on a socket, over NATS, or both, until the test ends.
func process(t *testing.T, conn *nats.Conn, socket bool) *control.Process {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "rtap_answer"}, func() float64 { return 42 }))
	status := &rtapv1.ServiceStatus{Service: "vad", Instance: instance, State: "active", Ready: true}
	p := &control.Process{
		Status: func() *rtapv1.ServiceStatus { return status }, Metrics: registry, Logs: control.NewRecent(4 << 20),
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{}, 2)
	running := 0
	if conn != nil {
		svc, err := micro.AddService(conn, micro.Config{Name: "rtap-vad", Version: "0.0.0"})
		if err != nil {
			t.Fatal(err)
		}
		err = svc.AddEndpoint("status", micro.HandlerFunc(func(r micro.Request) {
			raw, err := wire.MarshalJSON(p.Status())
			if err != nil {
				t.Error(err)
			}
			_ = r.Respond(raw)
		}), micro.WithEndpointSubject(bus.ControlStatus), micro.WithEndpointQueueGroupDisabled())
		if err != nil {
			t.Fatal(err)
		}
		running++
		go func() { _ = p.Serve(ctx, svc, conn, instance); done <- struct{}{} }()
	}
	if socket {
		l, err := control.Listen(ctx, instance)
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: time.Second}
		running++
		go func() { _ = srv.Serve(l); done <- struct{}{} }()
		t.Cleanup(func() { _ = srv.Close() })
	}
	t.Cleanup(func() {
		cancel()
		if socket {
			return // the server is closed before this
		}
		for range running {
			<-done
		}
	})
	return p
}

// runtimeDir gives the sockets a folder of their own with a path short enough for one.
func runtimeDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rtap-control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("RTAP_RUNTIME_DIR", dir)
	return dir
}

func only(t *testing.T, conn *nats.Conn) control.Target {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		found := control.Find(t.Context(), conn, "", 200*time.Millisecond)
		if len(found) == 1 && found[0].GetInstance() == instance {
			return found[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("found %v", found)
		}
	}
}

func TestQuestions(t *testing.T) {
	for name, tt := range map[string]struct{ socket, nats bool }{
		"over a socket": {true, false}, "over NATS": {false, true}, "over both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			runtimeDir(t)
			var conn *nats.Conn
			if tt.nats {
				conn = testkit.Bus(t, nil).Conn()
			}
			p := process(t, conn, tt.socket)
			target := only(t, conn)
			if target.Local != tt.socket {
				t.Errorf("local: %v", target.Local)
			}
			metrics, err := target.Ask(t.Context(), control.Metrics, nil)
			if err != nil || !strings.Contains(string(metrics), "rtap_answer 42\n") {
				t.Errorf("metrics: %s, %v", metrics, err)
			}
			// Larger than a message of NATS may be.
			want := strings.Repeat(strings.Repeat("x", 1023)+"\n", 2500)
			for line := range strings.Lines(want) {
				_, _ = p.Logs.Write([]byte(line))
			}
			logs, err := target.Ask(t.Context(), control.Logs, nil)
			if err != nil || string(logs) != want {
				t.Errorf("logs: %d bytes, want %d, %v", len(logs), len(want), err)
			}
			logs, err = target.Ask(t.Context(), control.Logs, url.Values{"lines": {"2"}})
			if err != nil || len(logs) != 2048 {
				t.Errorf("two lines: %d bytes, %v", len(logs), err)
			}
			for _, kind := range []string{"cpu", "heap", "allocs", "goroutines", "mutex", "block"} {
				raw, err := target.Ask(t.Context(), control.Profile, url.Values{"kind": {kind}, "seconds": {"0.05"}})
				if err != nil {
					t.Errorf("%s: %v", kind, err)
					continue
				}
				if prof, err := profile.ParseData(raw); err != nil || len(prof.SampleType) == 0 {
					t.Errorf("%s is no profile: %v", kind, err)
				}
			}
			text, err := target.Ask(t.Context(), control.Profile, url.Values{"kind": {"goroutines"}, "text": {"true"}})
			if err != nil || !strings.Contains(string(text), "TestQuestions") {
				t.Errorf("goroutines: %s, %v", text, err)
			}
			for question, q := range map[string]url.Values{
				control.Profile: {"kind": {"sound"}}, control.Logs: {"lines": {"-1"}},
			} {
				if _, err := target.Ask(t.Context(), question, q); err == nil || !strings.Contains(err.Error(), "want") {
					t.Errorf("%s %v: %v", question, q, err)
				}
			}
			if _, err := target.Ask(t.Context(), control.Profile, url.Values{"kind": {"cpu"}, "seconds": {"1e9"}}); err == nil {
				t.Error("a profile of years was begun")
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	dir := runtimeDir(t)
	conn := testkit.Bus(t, nil).Conn()
	stale := filepath.Join(dir, "gone-1.sock")
	l, err := control.Listen(t.Context(), "gone-1")
	if err != nil {
		t.Fatal(err)
	}
	raw := l.(interface{ SetUnlinkOnClose(bool) })
	raw.SetUnlinkOnClose(false) // as after kill -9
	_ = l.Close()
	if found := control.Find(t.Context(), conn, "", 50*time.Millisecond); len(found) != 0 {
		t.Errorf("found %v", found)
	}
	if _, err := os.Stat(stale); err == nil {
		t.Error("the socket of a dead process is still there")
	}
	if _, err := control.Choose(nil, ""); err == nil || !strings.Contains(err.Error(), "--nats") {
		t.Errorf("got %v", err)
	}
}

func TestChoose(t *testing.T) {
	target := func(service, instance string) control.Target {
		return control.Target{ServiceStatus: &rtapv1.ServiceStatus{Service: service, Instance: instance}}
	}
	all := []control.Target{target("vad", "a-1"), target("stt", "a-2"), target("stt", "b-1")}
	for process, want := range map[string][]string{"": {"a-1", "a-2", "b-1"}, "stt": {"a-2", "b-1"}, "b-1": {"b-1"}} {
		got, err := control.Choose(all, process)
		var names []string
		for _, t := range got {
			names = append(names, t.GetInstance())
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%q: got %v, %v", process, names, err)
		}
	}
	if _, err := control.Choose(all, "egress"); err == nil || !strings.Contains(err.Error(), "a-1 (vad), a-2 (stt), b-1 (stt)") {
		t.Errorf("got %v", err)
	}
}

func TestTheFolderMustBePrivate(t *testing.T) {
	dir := runtimeDir(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(t.Context(), "x-1"); err == nil || !strings.Contains(err.Error(), "nobody else") {
		t.Errorf("got %v", err)
	}
}

func TestRecentKeepsTheNewest(t *testing.T) {
	r := control.NewRecent(10)
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		_, _ = r.Write([]byte(line))
	}
	if got := string(r.Tail(0)); got != "two\nthree\n" {
		t.Errorf("got %q", got)
	}
	if got := string(r.Tail(1)); got != "three\n" {
		t.Errorf("got %q", got)
	}
}

func TestHandlerFollowsTheLevel(t *testing.T) {
	var out bytes.Buffer
	level, recent := new(slog.LevelVar), control.NewRecent(1<<10)
	log := slog.New(control.Handler(slog.NewTextHandler(&out, nil), level, recent)).With("stream_id", "mic").WithGroup("g")
	log.Debug("hidden")
	level.Set(slog.LevelDebug)
	log.Debug("shown", "n", 1)
	level.Set(slog.LevelError)
	log.Warn("hidden again")
	for name, got := range map[string]string{"out": out.String(), "recent": string(recent.Tail(0))} {
		if strings.Contains(got, "hidden") || !strings.Contains(got, "shown") || !strings.Contains(got, "mic") || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestPipelinesSideBySide: of two on one host, each command sees its own.
func TestPipelinesSideBySide(t *testing.T) {
	runtimeDir(t)
	conn := testkit.Bus(t, nil).Conn()
	p := process(t, nil, true)
	for name, tt := range map[string]struct {
		server, url string // of the process
		conn        *nats.Conn
		asked       string
		want        int
	}{
		"on our server":           {bus.ServerOf(conn), "nats://a", conn, "nats://127.0.0.1", 1},
		"on another":              {"NOTHER", "nats://a", conn, "nats://b", 0},
		"hanging since a restart": {"NOTHER", "nats://a", conn, "nats://a", 1},
		"never connected":         {"", "nats://a", conn, "nats://b", 1},
		"no NATS, ours":           {"NOTHER", "nats://a", nil, "nats://user:secret@a", 1},
		"no NATS, nobody is ours": {"NOTHER", "nats://a", nil, "nats://b", 1},
	} {
		status := &rtapv1.ServiceStatus{Service: "vad", Instance: instance, Attributes: map[string]string{
			bus.AttributeServer: tt.server, bus.AttributeURL: tt.url,
		}}
		p.Status = func() *rtapv1.ServiceStatus { return status }
		if found := control.Find(t.Context(), tt.conn, tt.asked, 100*time.Millisecond); len(found) != tt.want {
			t.Errorf("%s: found %v", name, found)
		}
	}
}
