package test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// fault is something wrong with the machine or with what somebody wrote.
type fault struct {
	args, environ []string
	says          string // the line of the process, with exit code 2
	finding       string // what `rtap doctor` says of it
	advice        string
	sources       []string
	doctor        []string
	under         []string // a program that runs both
}

// TestFaults: each stops `rtap up` with one line that names the cause and the way out, and
// `rtap doctor` finds it before.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	for name, prepare := range map[string]func(t *testing.T) fault{
		"a port in use": func(t *testing.T) fault {
			port := held(t, func(net.Conn) {})
			return fault{
				environ: []string{fmt.Sprintf("RTAP_EGRESS__WEBSOCKET__PORT=%d", port)},
				says:    fmt.Sprintf("egress: port %d is in use by test.test (process %d): free it, or set another with egress.websocket.port", port, os.Getpid()),
				finding: fmt.Sprintf("port %d is held by test.test", port), advice: "set egress.websocket.port",
			}
		},
		"a device that is not there": func(*testing.T) fault {
			return fault{
				environ: []string{"AUDIO_DEVICE=nowhere"}, sources: []string{"mic"},
				says: `no such capture device "nowhere"; there are: `, finding: "audio device", advice: "RTAP_AUDIO_MOCK=true|audio.device (AUDIO_DEVICE",
			}
		},
		"a wrong environment": func(*testing.T) fault {
			const line = "RTAP_ENVIRONMENT=main_pcc: there is no config/main_pcc.yaml (found: accuracy, balanced, default, latency, main_pc, pc2)"
			return fault{environ: []string{"RTAP_ENVIRONMENT=main_pcc"}, says: line, finding: line, advice: "mend it where the message says"}
		},
		"a typo in a key": func(t *testing.T) fault {
			file := filepath.Join(t.TempDir(), "rtap.yaml")
			write(t, file, "vad:\n  hangover: 100\n")
			line := file + `:2: unknown key "vad.hangover": vad has `
			return fault{args: []string{"--config", file}, doctor: []string{"--config", file}, says: line, finding: line, advice: "mend it where the message says"}
		},
		"no models": func(t *testing.T) fault {
			empty := t.TempDir()
			return fault{ // said by vad or by stt, whichever is first, of a file of its own
				environ: []string{"RTAP_MODELS_DIR=" + empty}, says: ": no such file or directory: run `make deps`",
				finding: empty + " is empty", advice: "set RTAP_MODELS_DIR",
			}
		},
		"an old NATS server": func(t *testing.T) fault {
			url := fmt.Sprintf("nats://127.0.0.1:%d", held(t, old))
			return fault{
				args: []string{"--nats", url}, environ: []string{"RTAP_NATS__URL=" + url},
				says:    "the NATS server at " + url + " is version 2.10.0: update it to 2.14.3 or later",
				finding: url + " runs version 2.10.0", advice: "update nats-server to 2.14.3",
			}
		},
		"a full disk": func(t *testing.T) fault {
			// In a mount namespace of its own a small disk is put at the place of the data.
			data := filepath.Join(dir, "small")
			if err := os.MkdirAll(data, 0o700); err != nil {
				t.Fatal(err)
			}
			return fault{
				under: []string{"unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"`, "sh", data},
				args:  []string{"--data-dir", data}, doctor: []string{"--data-dir", data},
				says: "are free on the disk of " + data + ": free at least 64, or choose another --data-dir", finding: "MB free for " + data, advice: "free some space or choose another --data-dir",
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := prepare(t)
			source := "mock"
			if len(f.sources) > 0 {
				source = f.sources[0]
			}
			code, out := f.run(t, append([]string{"up", "--source", source, "--data-dir", filepath.Join(dir, "data")}, f.args...)...)
			if line := complaint(out, f.says); code != 2 || line == "" {
				t.Errorf("rtap up: exit code %d, no line %q in\n%s", code, f.says, out)
			}
			_, out = f.run(t, append([]string{"doctor", "--data-dir", filepath.Join(dir, "data")}, f.doctor...)...)
			if !strings.Contains(out, f.finding) || !anyOf(out, f.advice) {
				t.Errorf("rtap doctor does not say %q with %q:\n%s", f.finding, f.advice, out)
			}
		})
	}
}

// run runs rtap on ports of its own.
func (f *fault) run(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	words := append(append([]string(nil), f.under...), append([]string{rtap(t)}, args...)...)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Dir = testkit.Root(t)
	ports := freePorts(t, 5)
	cmd.Env = append(os.Environ(), "RTAP_RUNTIME_DIR="+t.TempDir())
	for i, key := range []string{"EGRESS__HTTP_PORT", "EGRESS__WEBSOCKET__PORT", "EGRESS__ZMQ__TRANSCRIPT_PORT", "EGRESS__ZMQ__EVENT_PORT", "NATS__EMBEDDED__PORT"} {
		cmd.Env = append(cmd.Env, fmt.Sprintf("RTAP_%s=%d", key, ports[i]))
	}
	cmd.Env = append(cmd.Env, "RTAP_NATS__URL=nats://127.0.0.1:"+strconv.Itoa(ports[4]))
	if len(f.sources) > 0 {
		cmd.Env = append(cmd.Env, "RTAP_AUDIO__SOURCES="+strings.Join(f.sources, ","))
	}
	cmd.Env = append(cmd.Env, f.environ...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// complaint returns the line that is no log record and holds what is wanted.
func complaint(output, want string) string {
	for line := range strings.Lines(output) {
		if !strings.HasPrefix(line, "{") && !strings.Contains(line, "level=") && strings.Contains(line, want) {
			return line
		}
	}
	return ""
}

func anyOf(text, alternatives string) bool {
	for one := range strings.SplitSeq(alternatives, "|") {
		if strings.Contains(text, one) {
			return true
		}
	}
	return false
}

// held listens on a port until the test ends and hands each connection to serve.
func held(t *testing.T, serve func(net.Conn)) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer func() { _ = conn.Close() }(); serve(conn) }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

// old greets as a server of long ago does, and answers pings.
func old(conn net.Conn) {
	fmt.Fprint(conn, `INFO {"server_id":"OLD","version":"2.10.0","proto":1,"max_payload":1048576,"headers":true,"jetstream":true}`+"\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			fmt.Fprint(conn, "PONG\r\n")
		}
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
