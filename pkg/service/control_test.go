package service_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

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

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// start runs a process with nothing of its own; file is its configuration.
func start(t *testing.T, url, file string) *output {
	t.Helper()
	dir, err := os.MkdirTemp("", "rtap-service") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("RTAP_RUNTIME_DIR", dir)
	out := &output{}
	rt, err := service.Start(lifecycle.Env{
		Service: "vad", Version: "v1.2.3", Args: []string{"--config", file, "--set", "nats.url=" + url}, Stderr: out, Stdout: out,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- rt.Run(ctx, "", "") }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the process ended with %v", err)
		}
	})
	return out
}

// await asks until the process says what is wanted of it.
func await(t *testing.T, b *bus.Bus, what string, is func(*rtapv1.ServiceStatus) bool) {
	t.Helper()
	var seen []*rtapv1.ServiceStatus
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		var err error
		if seen, err = b.Statuses(t.Context(), 100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		if len(seen) == 1 && is(seen[0]) {
			return
		}
	}
	t.Fatalf("%s: never so, %v", what, seen)
}

func TestLogLevelChangesWhileRunning(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	file := filepath.Join(t.TempDir(), "default.yaml")
	write := func(level string) {
		if err := os.WriteFile(file, []byte("log: {level: "+level+", format: text}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("INFO")
	out := start(t, cfg.NATS.URL, file)
	level := func(want string) func(*rtapv1.ServiceStatus) bool {
		return func(s *rtapv1.ServiceStatus) bool { return s.GetAttributes()[bus.AttributeLogLevel] == want }
	}
	await(t, b, "as configured", level("INFO"))
	revision, err := b.SetSetting(t.Context(), "log.level", "WARN")
	if err != nil {
		t.Fatal(err)
	}
	await(t, b, "for all", func(s *rtapv1.ServiceStatus) bool {
		return level("WARN")(s) && s.GetAttributes()[bus.AttributeLogRevision] == fmt.Sprint(revision)
	})
	if _, err := b.SetSetting(t.Context(), "log.level/vad", "DEBUG"); err != nil {
		t.Fatal(err)
	}
	await(t, b, "for the service", level("DEBUG"))
	for _, key := range []string{"log.level/vad", "log.level"} {
		if _, err := b.UnsetSetting(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	await(t, b, "taken back", level("INFO"))
	write("ERROR")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, b, "after SIGHUP", level("ERROR"))
	write("LOUD")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, b, "a bad file", func(s *rtapv1.ServiceStatus) bool {
		return level("ERROR")(s) && strings.Contains(s.GetAttributes()[bus.AttributeLogError], "default.yaml:1: log.level")
	})
	for _, want := range []string{"from=INFO to=WARN", "from=WARN to=DEBUG", "level=ERROR msg=\"log level changed\" service=vad from=INFO to=ERROR"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, out)
		}
	}
}

func TestProcessAnswersBothWays(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	file := filepath.Join(t.TempDir(), "default.yaml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, cfg.NATS.URL, file)
	await(t, b, "there", func(*rtapv1.ServiceStatus) bool { return true })
	near := control.Find(t.Context(), nil, "", time.Second)
	if len(near) != 1 || near[0].GetService() != "vad" {
		t.Fatalf("over the socket: %v", near)
	}
	t.Setenv("RTAP_RUNTIME_DIR", t.TempDir()) // as from another container
	far := control.Find(t.Context(), b.Conn(), "", time.Second)
	if len(far) != 1 || far[0].Local {
		t.Fatalf("over NATS: %v", far)
	}
	for way, target := range map[string]control.Target{"socket": near[0], "NATS": far[0]} {
		logs, err := target.Ask(t.Context(), control.Logs, nil)
		if err != nil || !strings.Contains(string(logs), `"msg":"starting"`) {
			t.Errorf("%s: %s, %v", way, logs, err)
		}
		metrics, err := target.Ask(t.Context(), control.Metrics, nil)
		if err != nil || !strings.Contains(string(metrics), "rtap_memory_usage_bytes") {
			t.Errorf("%s: %d bytes, %v", way, len(metrics), err)
		}
	}
}
