//go:build compose

package compose

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
)

// stack is a checkout of its own, so that .env and edits are the test's, and what runs from it.
type stack struct {
	dir string
	env []string
}

var containers = []string{"rtap-nats-1", "rtap-capture-1", "rtap-vad-1", "rtap-stt-1", "rtap-main", "rtap-standby"}

func newStack(t *testing.T) *stack {
	t.Helper()
	s := &stack{dir: t.TempDir()}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "RTAP_") && !strings.HasPrefix(kv, "COMPOSE_") {
			s.env = append(s.env, kv)
		}
	}
	s.env = append(s.env, "DOCKER_HOST="+engine(t))
	if out, err := s.try("docker", "inspect", "rtap-main"); err == nil {
		t.Fatalf("a container rtap-main exists; this test would take its place: docker-compose down, then again: %.60s", out)
	}
	copyTree(t, testkit.Root(t), s.dir)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := s.try("docker-compose", "logs", "--no-color", "--tail", "40")
			t.Logf("last words of every container:\n%s", out)
		}
		if out, err := s.try("docker-compose", "down", "--volumes", "--remove-orphans"); err != nil {
			t.Errorf("down: %v\n%s", err, out)
		}
	})
	return s
}

// copyTree copies what git tracks, and what it would.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	list := exec.CommandContext(t.Context(), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		t.Fatalf("listing the files: %v", err)
	}
	cp := exec.CommandContext(t.Context(), "xargs", "-0", "cp", "--parents", "-t", to)
	cp.Dir, cp.Stdin = from, bytes.NewReader(names)
	if out, err := cp.CombinedOutput(); err != nil {
		t.Fatalf("copying the files: %v: %s", err, out)
	}
}

// try runs a command in the stack's folder. Leading NAME=value words are its environment.
func (s *stack) try(words ...string) (string, error) {
	env := s.env
	for strings.Contains(words[0], "=") {
		env, words = append(env[:len(env):len(env)], words[0]), words[1:]
	}
	cmd := exec.Command(words[0], words[1:]...) //nolint:noctx // a stopped test must still bring the stack down
	cmd.Dir, cmd.Env = s.dir, env
	cmd.WaitDelay = time.Second
	watchdog := time.AfterFunc(20*time.Minute, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (s *stack) run(t *testing.T, words ...string) string {
	t.Helper()
	out, err := s.try(words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}

// sh runs a line of the operations manual as it stands there.
func (s *stack) sh(t *testing.T, line string) string {
	t.Helper()
	return s.run(t, "bash", "-o", "pipefail", "-c", line)
}

// ids returns the ids of the containers named.
func (s *stack) ids(t *testing.T, names ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, name := range names {
		out[name] = strings.TrimSpace(s.run(t, "docker", "inspect", "--format", "{{.Id}}", name))
	}
	return out
}

func (s *stack) image(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(s.run(t, "docker", "image", "inspect", "--format", "{{.Id}}", name))
}

func (s *stack) healthy(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		within(t, 2*time.Minute, name+" does not become healthy", func() bool {
			out, err := s.try("docker", "inspect", "--format", "{{.State.Health.Status}}", name)
			return err == nil && strings.TrimSpace(out) == "healthy"
		})
	}
}

// edit puts something else into a file of the checkout, and puts it back at the test's end.
func (s *stack) edit(t *testing.T, name string, change func(string) string) {
	t.Helper()
	path := filepath.Join(s.dir, name)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A new file in its place would not be seen through a bind mount of the file.
	if err := os.WriteFile(path, []byte(change(string(old))), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile(path, old, 0o600) })
}

func same(t *testing.T, before, after map[string]string) {
	t.Helper()
	for name, id := range before {
		if after[name] != id {
			t.Errorf("%s was made anew", name)
		}
	}
}
