package manual_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
)

// stack is a pipeline of `rtap up` in a folder that looks like the repository.
type stack struct {
	dir     string
	environ []string
	ports   map[string]int // of the document → of this run
}

// manualPorts are those of the document and the keys that set them.
var manualPorts = map[string]string{
	"8080": "EGRESS__HTTP_PORT", "5802": "EGRESS__WEBSOCKET__PORT", "6553": "EGRESS__ZMQ__TRANSCRIPT_PORT", "6552": "EGRESS__ZMQ__EVENT_PORT",
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

func start(t *testing.T) *stack {
	t.Helper()
	root := testkit.Root(t)
	s := &stack{dir: t.TempDir(), ports: map[string]int{}}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch e.Name() {
		case ".git", "data", "logs", "backups":
			continue
		}
		if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(s.dir, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	sockets, err := os.MkdirTemp("", "rtap-manual") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	nats := freePort(t)
	s.environ = append(os.Environ(),
		"PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"), "RTAP_RUNTIME_DIR="+sockets, "RTAP_LOG__DIR="+filepath.Join(s.dir, "logs"),
		fmt.Sprintf("RTAP_NATS__URL=nats://127.0.0.1:%d", nats), fmt.Sprintf("RTAP_NATS__EMBEDDED__PORT=%d", nats))
	for port, key := range manualPorts {
		s.ports[port] = freePort(t)
		s.environ = append(s.environ, fmt.Sprintf("RTAP_%s=%d", key, s.ports[port]))
	}
	// Not with the test's context: a second signal would end it at once, with an error.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program(t), "up", "--source", "mock", "--source", "listen")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.environ, io.Discard, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("rtap up: %v", err)
		}
	})
	s.ready(t)
	return s
}

// ready waits until the first final has gone through and every stage says that it is well.
func (s *stack) ready(t *testing.T) {
	t.Helper()
	at := fmt.Sprintf("http://127.0.0.1:%d", s.ports["8080"])
	why := ""
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		spoken, well := ask(t, at+"/metrics"), ask(t, at+"/health")
		if strings.Contains(spoken.body, "rtap_pipeline_latency_seconds_count") && well.code == http.StatusOK {
			return
		}
		if well.body != "" {
			why = well.body
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: no final came out, or a stage is not well: %s", at, why)
		}
	}
}

type answer struct {
	code int
	body string
}

// ask gets a page; it is empty while nobody answers.
func ask(t *testing.T, url string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}
	}
	defer func() { _ = res.Body.Close() }()
	body, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(body)}
}

var localhost = regexp.MustCompile(`localhost:(8080|5802|6552|6553)\b`)

// run runs a block as one script: what fails in it ends it.
func (s *stack) run(t *testing.T, script string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	script = localhost.ReplaceAllStringFunc(script, func(at string) string {
		return fmt.Sprintf("localhost:%d", s.ports[strings.TrimPrefix(at, "localhost:")])
	})
	cmd := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = s.dir, s.environ
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestCommandsOfTheDocument runs what the document says about a pipeline without containers.
func TestCommandsOfTheDocument(t *testing.T) {
	s := start(t)
	old := filepath.Join(s.dir, "logs", "rtap-20200102.log")
	if err := os.WriteFile(old, []byte("old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-9*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, b := range document(t).Of("stack") {
		t.Run(fmt.Sprintf("line %d %s", b.Line, b.Section), func(t *testing.T) {
			if out, err := s.run(t, b.Script); err != nil {
				t.Errorf("%v\n%s\n%s", err, b.Script, out)
			}
		})
	}
	if _, err := os.Stat(old); err == nil {
		t.Error("the old log is still there")
	}
	for name, begins := range map[string]string{
		"profile.svg": "<svg ", "heap.html": "<!doctype html>", "rtap-diagnostics.txt": "===== This host =====",
		"rtap-diagnostics-pipeline.tar.gz": "\x1f\x8b", "backups/rtap-backup-*.tar.gz": "\x1f\x8b", "logs/rtap-*.log": "{",
	} {
		found, err := filepath.Glob(filepath.Join(s.dir, name))
		if err != nil || len(found) == 0 {
			t.Errorf("%s was not made", name)
			continue
		}
		raw, err := os.ReadFile(found[0])
		if err != nil || !strings.HasPrefix(string(raw), begins) {
			t.Errorf("%s begins with %.40q, %v", found[0], raw, err)
		}
	}
}
