package obs_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
)

func TestHealthEndpoints(t *testing.T) {
	m := obs.NewMetrics("test", "1")
	h := obs.NewHealth("test", "i", "1", m)
	mux := http.NewServeMux()
	obs.Register(mux, h, m)
	status := func(path string) (int, string) {
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return rec.Code, rec.Body.String()
	}
	if code, body := status("/readyz"); code != 503 || !strings.Contains(body, "starting") {
		t.Errorf("starting: %d %s", code, body)
	}
	h.SetState(obs.StateActive)
	h.SetProblem("nats", "not reachable")
	if code, body := status("/readyz"); code != 503 || !strings.Contains(body, "nats: not reachable") {
		t.Errorf("problem: %d %s", code, body)
	}
	h.SetProblem("nats", "")
	if code, _ := status("/readyz"); code != 200 {
		t.Errorf("ready: %d", code)
	}
	h.Degrade("jobs", "the queue is full")
	h.SetState(obs.StateActive) // by who knows nothing of it
	if code, body := status("/readyz"); code != 503 || !strings.Contains(body, "degraded") || !strings.Contains(body, "jobs: the queue is full") {
		t.Errorf("degraded: %d %s", code, body)
	}
	h.SetState(obs.StateDraining)
	if code, body := status("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("draining while degraded: %d %s", code, body)
	}
	h.Degrade("jobs", "")
	h.SetState(obs.StateActive) // too late
	if code, body := status("/readyz"); code != 503 || !strings.Contains(body, "draining") {
		t.Errorf("draining: %d %s", code, body)
	}
	if code, _ := status("/healthz"); code != 200 {
		t.Errorf("alive: %d", code)
	}
	_, body := status("/metrics")
	for _, want := range []string{"container_health_status 0", `rtap_state_transitions_total{from="starting",to="active"} 1`, `rtap_state_transitions_total{from="active",to="degraded"} 1`, `rtap_state_transitions_total{from="degraded",to="draining"} 1`, "rtap_memory_usage_bytes", "rtap_cpu_usage_percent"} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

func TestListenNamesHolder(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = obs.Listen(t.Context(), l.Addr().String(), "egress.http_port")
	if err == nil || lifecycle.Code(err) != lifecycle.ExitUsage {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"is in use", "egress.http_port", strconv.Itoa(os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}
