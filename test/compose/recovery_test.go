//go:build compose

package compose

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

// savedImage takes the image's name away under running containers, and loads it from a file.
// The manual's gzip between takes minutes on a busy machine.
func (s *stack) savedImage(t *testing.T) {
	before, image := s.ids(t, containers...), s.image(t, "rtap:latest")
	s.sh(t, "docker save -o rtap-image.tar rtap:latest && tar -tf rtap-image.tar >list && grep manifest.json list")
	s.sh(t, "docker tag rtap:latest rtap:kept && docker rmi rtap:latest")
	if out, err := s.try("docker", "image", "inspect", "rtap:latest"); err == nil {
		t.Fatalf("rtap:latest is still there: %.60s", out)
	}
	s.sh(t, "docker load <rtap-image.tar")
	if got := s.image(t, "rtap:latest"); got != image {
		t.Errorf("the image came back as %s, was %s", got, image)
	}
	s.sh(t, "docker rmi rtap:kept && rm rtap-image.tar && docker-compose up -d")
	s.healthy(t, containers...)
	same(t, before, s.ids(t, containers...))
}

// diagnostics are gathered while rtap-main is down.
func (s *stack) diagnostics(t *testing.T) {
	out := s.run(t, "./gather-diagnostics.sh")
	health, _, _ := strings.Cut(after(out, "===== Health of the gateways ====="), "=====")
	if !strings.Contains(health, "/health: 200 OK") || !strings.Contains(health, `"status": "healthy"`) {
		t.Errorf("the standby's health is not in it: %.300s", health)
	}
	for _, want := range []string{
		"===== Logs of the containers =====",
		"===== Last log lines =====",
		"/app/logs/rtap-",
		"===== Goroutines of every process =====",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in the report", want)
		}
	}
	logs, _, _ := strings.Cut(after(out, "===== Logs of the containers ====="), "=====")
	for _, name := range []string{"rtap-main", "rtap-standby"} {
		if !strings.Contains(logs, name+" ") {
			t.Errorf("no last words of %s", name)
		}
	}
	s.silent(t, "the diagnostics", out)
}

func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	return rest
}

// token goes the way that deploy.sh's summary recommends, and back.
func (s *stack) token(t *testing.T, f *follower) {
	const token = "e2e-0123456789abcdef" //nolint:gosec // of this test alone
	workers := []string{"rtap-nats-1", "rtap-capture-1", "rtap-vad-1", "rtap-stt-1"}
	f.shows(token)
	out := s.run(t, "RTAP_AUTH_TOKEN="+token, "./deploy.sh", "--no-monitoring")
	s.sh(t, "docker exec rtap-main rtap verify")
	for _, port := range []int{5802, 5812} {
		for name, c := range map[string]struct {
			header http.Header
			want   int
		}{
			"no token":    {nil, http.StatusUnauthorized},
			"a wrong one": {bearer("e2e"), http.StatusUnauthorized},
			"the token":   {bearer(token), http.StatusSwitchingProtocols},
		} {
			if got := connect(t, port, c.header); got != c.want {
				t.Errorf("%s, port %d: %d, want %d", name, port, got, c.want)
			}
		}
	}
	f.goesOn(t)
	f.check(t)
	s.silent(t, "what deploy.sh says", out)
	s.silent(t, "the logs", s.run(t, "docker-compose", "logs", "--no-color"))
	before := s.ids(t, workers...)
	s.sh(t, "grep -qx RTAP_AUTH_TOKEN="+token+" .env && sed -i /^RTAP_AUTH_TOKEN=/d .env && docker-compose up -d")
	s.healthy(t, containers...)
	if got := connect(t, 5802, nil); got != http.StatusSwitchingProtocols {
		t.Errorf("without a token again: %d", got)
	}
	same(t, before, s.ids(t, workers...))
}

// connect asks for a WebSocket and gives the status of the answer.
func connect(t *testing.T, port int, header http.Header) int {
	t.Helper()
	c, res, err := websocket.DefaultDialer.DialContext(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/stream", port), header)
	if res == nil {
		t.Fatalf("port %d: %v", port, err)
	}
	_ = res.Body.Close()
	if err == nil {
		_ = c.Close()
	}
	return res.StatusCode
}

// fromNothing is the manual's full recovery, but for --no-cache. What is said then comes in a
// log that begins with 1.
func (s *stack) fromNothing(t *testing.T) {
	const revision = "0123456789abcdef0123456789abcdef01234567"
	old := s.ids(t, containers...)
	s.run(t, "docker-compose", "down", "--volumes")
	if out := s.run(t, "docker", "volume", "ls", "-q", "--filter", "label=com.docker.compose.project=rtap"); strings.Contains(out, "nats-data") {
		t.Errorf("data is left: %s", out)
	}
	// With another version, since Podman's builder takes a label from its cache whatever its argument is.
	s.run(t, "RTAP_VERSION=recovered", "RTAP_REVISION="+revision, "docker-compose", "build")
	if out := s.run(t, "docker", "image", "inspect", "--format", `{{index .Config.Labels "org.opencontainers.image.revision"}}`, "rtap:latest"); strings.TrimSpace(out) != revision {
		t.Errorf("revision %s", out)
	}
	s.run(t, "docker-compose", "up", "-d")
	s.healthy(t, containers...)
	for name, id := range s.ids(t, slices.Collect(maps.Keys(old))...) {
		if id == old[name] {
			t.Errorf("%s is the old one", name)
		}
	}
	hear(t, 6553)
	f := follow(t)
	f.goesOn(t)
	f.check(t)
}
