package diagnostics

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const secret = "hunter2-and-more"

// call runs the command away from any pipeline of this machine.
func call(t *testing.T, environ []string, args ...string) (code int, out string) {
	t.Helper()
	var b bytes.Buffer
	args = append(args, "--set", "egress.http_port=1", "--data-dir", t.TempDir())
	err := Run(t.Context(), lifecycle.Env{Version: "v1.2.3", Environ: environ, Args: args, Stdout: &b, Stderr: &b})
	if err != nil {
		b.WriteString(err.Error())
	}
	return lifecycle.Code(err), b.String()
}

func runtimeDir(t *testing.T) {
	t.Helper()
	dir, err := os.MkdirTemp("", "rtap-diagnostics") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("RTAP_RUNTIME_DIR", dir)
}

// process answers on a socket as vad.
func process(t *testing.T) {
	t.Helper()
	m := obs.NewMetrics("vad", "v1.2.3")
	h := obs.NewHealth("vad", "host-7", "v1.2.3", m)
	p := &control.Process{Status: h.Status, Metrics: m.Registry, Logs: control.NewRecent(1 << 16)}
	slog.New(control.Handler(slog.DiscardHandler, slog.LevelInfo, p.Logs)).Info("a line of vad", "password", secret)
	l, err := control.Listen(t.Context(), "host-7")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: p.Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
}

// part is what stands in one section of the text.
func part(t *testing.T, out, title string) string {
	t.Helper()
	_, rest, found := strings.Cut(out, "===== "+title)
	if !found {
		t.Errorf("there is no section %q", title)
	}
	text, _, _ := strings.Cut(rest, "\n===== ")
	return text
}

func TestEverythingIsThere(t *testing.T) {
	runtimeDir(t)
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	process(t)
	r := wire.NewResults(&rtapv1.Span{StartSample: 1, EndSample: 2}, &rtapv1.Recognition{Text: "what was said"})
	r.Rtap.StreamId, r.Rtap.Seq, r.Rtap.Ordinal = "mic", 17, 19
	if _, err := b.StoreFinal(t.Context(), wire.Entry{Results: r}, 0); err != nil {
		t.Fatal(err)
	}
	if err := b.PublishDead(t.Context(), &rtapv1.DeadJob{
		Job: &rtapv1.FinalJob{StreamId: "mic", Ordinal: 3, SegmentId: "s3", Pcm: make([]byte, 64000)}, Reason: "it crashed", Deliveries: 5,
	}); err != nil {
		t.Fatal(err)
	}
	for n := range 2 * most {
		b.Emit(&rtapv1.ServiceEvent{Type: "Event", Service: "stt", Kind: "state", Message: fmt.Sprintf("event %d.", n)})
	}
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{StreamId: "mic", Ordinal: 20, Epoch: 2}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetSetting(t.Context(), "log.level", "DEBUG"); err != nil {
		t.Fatal(err)
	}
	logs := t.TempDir()
	if err := os.WriteFile(filepath.Join(logs, "rtap-20260102.log"), []byte("a line of the day\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"RTAP_NATS__PASSWORD=" + secret, "RTAP_OPERATOR_PASSWORD=x-" + secret, "RTAP_LOG_LEVEL=INFO", "HOME=/secret"}
	code, out := call(t, environ, "--set", "nats.url="+strings.Replace(cfg.NATS.URL, "://", "://ada:"+secret+"@", 1), "--set", "log.dir="+logs)
	if code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	for title, want := range map[string][]string{
		"What runs":               {"rtap v1.2.3", "nats-server 2.", "running: vad host-7"},
		"Effective configuration": {"nats.password", "(hidden)", "RTAP_LOG_LEVEL=INFO", "RTAP_OPERATOR_PASSWORD=(hidden)", "log.level=DEBUG (since"},
		"What is wrong":           {"configuration", "nats"},
		"Health":                  {"not available: primary gateway", "connection refused"},
		"Status":                  {`"instance": "host-7"`},
		"Processes":               {"RTAP_TRANSCRIPTS", "host-7"},
		"Resources":               {"/proc/meminfo", "MB free"},
		"JetStream":               {"RTAP_TRANSCRIPTS: 1 messages", "KV_rtap_checkpoints: 1 messages"},
		"Leases":                  {"mic: epoch 2, ordinal 20", "mic: 1 entries, seq 17, ordinal 19"},
		"Recent events":           {fmt.Sprintf("event %d.", most+1), fmt.Sprintf("event %d.", 2*most-1)},
		"Given-up jobs":           {"mic/3 segment s3, 2.0 s of audio", "after 5 deliveries: it crashed"},
		"Metrics":                 {"rtap_memory_usage_bytes"},
		"Last log lines":          {"a line of vad", "a line of the day"},
		"Goroutines":              {"vad host-7", "TestEverythingIsThere"},
	} {
		text := part(t, out, title)
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q:\n%.2000s", title, w, text)
			}
		}
	}
	for _, never := range []string{secret, "what was said", "HOME=", fmt.Sprintf("event %d.", most-1)} {
		if strings.Contains(out, never) {
			t.Errorf("%q must not be in it", never)
		}
	}
}

// TestNothingIsThere: without server, processes and gateway each part says why it is empty.
func TestNothingIsThere(t *testing.T) {
	runtimeDir(t)
	code, out := call(t, nil, "--nats", "nats://127.0.0.1:1")
	if code != 0 {
		t.Fatalf("code %d: %s", code, out)
	}
	for title, want := range map[string]string{
		"What runs": "no process of the pipeline answers", "Effective configuration": "nats://127.0.0.1:1", "Health": "connection refused",
		"Status": "no process of RTAP answers", "Processes": "nothing answers", "JetStream": "no servers available", "Leases": "no servers available",
		"Recent events": "no servers available", "Given-up jobs": "no servers available", "Metrics": "no process of RTAP answers",
		"Last log lines": "no process of RTAP answers", "Goroutines": "no process of RTAP answers",
	} {
		if text := part(t, out, title); !strings.Contains(text, "not available: ") || !strings.Contains(text, want) {
			t.Errorf("%s does not say %q:\n%.2000s", title, want, text)
		}
	}
	// A configuration that cannot be read is a finding, too.
	code, out = call(t, []string{"RTAP_ENVIRONMENT=nowhere"}, "--nats", "nats://127.0.0.1:1")
	if code != 0 || !strings.Contains(part(t, out, "Effective configuration"), "RTAP_ENVIRONMENT=nowhere: there is no") {
		t.Errorf("a bad configuration: code %d: %s", code, part(t, out, "Effective configuration"))
	}
}

// TestServerIsGone: the processes answer all the same.
func TestServerIsGone(t *testing.T) {
	runtimeDir(t)
	process(t)
	_, out := call(t, nil, "--nats", "nats://127.0.0.1:1")
	for title, want := range map[string]string{
		"Status": "host-7", "Metrics": "rtap_memory_usage_bytes", "Last log lines": "a line of vad", "Goroutines": "goroutine 1",
	} {
		if text := part(t, out, title); !strings.Contains(text, want) || strings.Contains(text, "not available") {
			t.Errorf("%s: %.2000s", title, text)
		}
	}
}

func TestArchive(t *testing.T) {
	runtimeDir(t)
	process(t)
	path := filepath.Join(t.TempDir(), "report.tar.gz")
	code, out := call(t, nil, "--nats", "nats://127.0.0.1:1", "-o", path)
	if code != 0 || !strings.Contains(out, "in part: connecting to") {
		t.Fatalf("code %d: %s", code, out)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	gz, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(gz); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		if raw, err := io.ReadAll(r); err != nil || len(raw) == 0 {
			t.Errorf("%s: %d bytes, %v", h.Name, len(raw), err)
		}
	}
	if len(names) != len(sections) || !slices.Contains(names, "report/01-versions.txt") || !slices.Contains(names, "report/14-goroutines.txt") {
		t.Errorf("files %v", names)
	}
	if code, out := call(t, nil, "-o", "report.zip"); code != lifecycle.ExitUsage || !strings.Contains(out, ".tar.gz") {
		t.Errorf("another form: code %d: %s", code, out)
	}
	if code, out := call(t, nil, "-o", "/nowhere/report.tar.gz"); code != lifecycle.ExitUsage || !strings.Contains(out, "/nowhere") {
		t.Errorf("no such folder: code %d: %s", code, out)
	}
}

func TestBrokenSectionsCostOnlyThemselves(t *testing.T) {
	s := &site{cfg: &config.Loaded{Config: config.Default()}}
	hung := make(chan struct{})
	defer close(hung)
	for name, tt := range map[string]struct {
		write func(context.Context, *site, io.Writer) error
		want  string
	}{
		"panics": {func(context.Context, *site, io.Writer) error { panic("oh") }, "not available: this part of the diagnostics broke: oh"},
		"hangs":  {func(context.Context, *site, io.Writer) error { <-hung; return nil }, "no end within 10ms"},
		"fails in part": {func(_ context.Context, _ *site, w io.Writer) error {
			fmt.Fprintln(w, "a half")
			return errors.Join(errors.New("first"), errors.New("second"))
		}, "a half\nnot available: first\nnot available: second\n"},
	} {
		text, why := section{name: name, limit: 10 * time.Millisecond, write: tt.write}.gather(t.Context(), s)
		if why == nil || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: %s, %v", name, text, why)
		}
	}
}
