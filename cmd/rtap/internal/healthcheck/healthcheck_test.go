package healthcheck_test

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/healthcheck"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
)

// process answers on a socket as a service that is active, or has a problem.
func process(t *testing.T, service, problem string) {
	t.Helper()
	h := obs.NewHealth(service, "host-"+service, "v1", obs.NewMetrics(service, "v1"))
	h.SetState(obs.StateActive)
	h.SetProblem("nats", problem)
	l, err := control.Listen(t.Context(), "host-"+service)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: (&control.Process{Status: h.Status}).Handler(), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
}

func TestHealthcheck(t *testing.T) {
	dir, err := os.MkdirTemp("", "rtap-health") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("RTAP_RUNTIME_DIR", dir)
	url := testkit.NATS(t).ClientURL()
	run := func(line string) (int, string) {
		var out bytes.Buffer
		err := healthcheck.Run(t.Context(), lifecycle.Env{Args: strings.Fields(line), Stdout: &out, Stderr: &out})
		if err != nil {
			out.WriteString(err.Error())
		}
		return lifecycle.Code(err), out.String()
	}
	expect := func(line string, code int, want string) {
		t.Helper()
		if got, out := run(line); got != code || !strings.Contains(out, want) {
			t.Errorf("%q: code %d, %s; want %d, %s", line, got, out, code, want)
		}
	}
	expect("", 1, "no process of RTAP answers here")
	process(t, "vad", "")
	expect("", 0, "vad active\n")
	expect("vad", 0, "vad active\n")
	expect("stt", 1, "no stt answers here")
	process(t, "stt", "not connected")
	expect("", 1, "stt is not ready: nats: not connected")
	expect("vad", 0, "vad active\n")
	expect("stt --live", 0, "stt active\n")
	expect("sing", 2, "want capture, vad, stt, egress, nats")
	expect("nats vad --set nats.url="+url, 0, "nats 2.")
	expect("nats --set nats.url=nats://127.0.0.1:1", 1, "connecting to nats://127.0.0.1:1")
}
