//go:build compose

package compose

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// scale has more workers of two kinds, loses the ones that work, and goes back to one each.
func (s *stack) scale(t *testing.T, f *follower) {
	s.sh(t, "docker-compose up -d --scale stt=3 --scale vad=2")
	s.healthy(t, "rtap-stt-1", "rtap-stt-2", "rtap-stt-3", "rtap-vad-1", "rtap-vad-2")
	f.goesOn(t)
	// The first one has the stream, since it was there before the second.
	s.sh(t, "docker kill rtap-vad-1 rtap-stt-1 rtap-stt-2")
	f.goesOn(t)
	s.sh(t, "docker-compose up -d --scale stt=1 --scale vad=1")
	f.goesOn(t)
	for _, service := range []string{"stt", "vad"} {
		if out := s.run(t, "docker-compose", "ps", "-q", service); strings.Count(out, "\n") != 1 {
			t.Errorf("of %s there are: %s", service, out)
		}
	}
	s.healthy(t, containers...)
	f.check(t)
}

// faults starts single containers that cannot work, beside the stack that goes on, and asks
// the doctor inside them.
func (s *stack) faults(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.Mkdir(empty, 0o755); err != nil { //nolint:gosec // the container's user must read it
		t.Fatal(err)
	}
	shut := filepath.Join(t.TempDir(), "shut")
	if err := os.Mkdir(shut, 0o700); err != nil {
		t.Fatal(err)
	}
	worker := func(args ...string) []string {
		return append([]string{"docker-compose", "run", "--rm", "--no-deps", "-T", "--name", "rtap-fault"}, args...)
	}
	for _, c := range []struct {
		name string
		run  []string // without the program
		runs string
		says string
		// finds is what the doctor says there.
		finds string
	}{
		{"an empty folder of models", worker("-v", empty+":/app/models:ro", "stt"), "rtap-stt",
			"/app/models/moonshine-tiny-en/vocabulary.txt: no such file or directory: run `make deps`; in a container, mount the volume", "/app/models is empty"},
		{"models that cannot be read", worker("-v", shut+":/app/models:ro", "stt"), "rtap-stt",
			"/app/models/models.yaml: permission denied: let this user read the folder", "/app/models"},
		// Away from the bus: beside a capture that works, the doctor says so and nothing more.
		{"no sound device", []string{"docker", "run", "--rm", "--name", "rtap-fault", "-e", "RTAP_AUDIO__SOURCES=mic", "rtap:latest"}, "rtap-capture",
			"--device /dev/snd", "there is no /dev/snd"},
		{"an environment that is not there", worker("-e", "RTAP_ENVIRONMENT=main_pcc", "vad"), "rtap-vad",
			"RTAP_ENVIRONMENT=main_pcc: there is no config/main_pcc.yaml (found: ", "main_pcc"},
		{"a wrong password", worker("-e", "RTAP_NATS__PASSWORD=wrong", "vad"), "rtap-vad",
			"Authorization Violation", "Authorization Violation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() { _, _ = s.try("docker", "rm", "--force", "rtap-fault") })
			if out := s.until(c.says, append(slices.Clone(c.run), c.runs)...); !strings.Contains(out, c.says) {
				t.Errorf("no %q in\n%s", c.says, out)
			}
			if out, _ := s.try(append(slices.Clone(c.run), "rtap", "doctor")...); !strings.Contains(out, c.finds) {
				t.Errorf("the doctor does not find %q:\n%s", c.finds, out)
			}
		})
	}
}

// until runs a container until it has said something, or ends by itself, and returns what it
// said: one that is refused by NATS tries again and again.
func (s *stack) until(says string, words ...string) string {
	cmd := exec.Command(words[0], words[1:]...) //nolint:noctx // killed below
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.WaitDelay = time.Second
	var out lines
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		return err.Error()
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = cmd.Wait() }()
	for range 240 {
		select {
		case <-ended:
			return out.String()
		case <-time.After(500 * time.Millisecond):
		}
		if strings.Contains(out.String(), says) {
			break
		}
	}
	_, _ = s.try("docker", "rm", "--force", "rtap-fault")
	_ = cmd.Process.Kill()
	<-ended
	return out.String()
}

// lines is a buffer that may be read while it is written to.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
