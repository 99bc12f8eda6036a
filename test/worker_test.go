package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
)

// worker is one process of a service that the test starts itself, beside a pipeline.
type worker struct {
	cmd   *exec.Cmd
	begun chan struct{} // closed when it has written its first line, so that it hears signals
	ended chan struct{}
}

// begin starts the process of a service with more arguments, in a run of `rtap up` if run names one.
func begin(t *testing.T, name, url, run string, args ...string) *worker {
	t.Helper()
	w := &worker{begun: make(chan struct{}), ended: make(chan struct{})}
	args = append([]string{"--set", "nats.url=" + url, "--set", "http." + name + "=127.0.0.1:0"}, args...)
	if name == "egress" {
		args = append(args[:2:2], args[4:]...)
	}
	w.cmd = exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(rtap(t)), "rtap-"+name), args...)
	w.cmd.Dir, w.cmd.Stderr = testkit.Root(t), &firstLine{t: t, begun: w.begun}
	w.cmd.Env = os.Environ()
	w.cmd.Cancel = func() error { return w.cmd.Process.Signal(syscall.SIGTERM) }
	if run != "" {
		w.cmd.Env = append(w.cmd.Env, service.RunVariable+"="+run)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(w.ended); _ = w.cmd.Wait() }()
	t.Cleanup(func() {
		w.signal(syscall.SIGCONT)
		w.signal(syscall.SIGTERM)
		w.await(t)
	})
	return w
}

// gatewayPorts are settings of a gateway beside others on this machine.
func gatewayPorts(t *testing.T) (settings []string) {
	t.Helper()
	ports := freePorts(t, 4)
	for i, key := range []string{"egress.http_port", "egress.websocket.port", "egress.zmq.transcript_port", "egress.zmq.event_port"} {
		settings = append(settings, "--set", fmt.Sprintf("%s=%d", key, ports[i]))
	}
	return settings
}

func (w *worker) signal(s syscall.Signal) { _ = w.cmd.Process.Signal(s) }

// await waits until the process has ended.
func (w *worker) await(t *testing.T) *os.ProcessState {
	t.Helper()
	select {
	case <-w.ended:
	case <-time.After(time.Minute):
		w.signal(syscall.SIGKILL)
		<-w.ended
		t.Errorf("%s did not end within a minute", w.cmd.Path)
	}
	return w.cmd.ProcessState
}

// firstLine passes a log on to the test and tells of its beginning.
type firstLine struct {
	t     *testing.T
	begun chan struct{}
	told  bool
}

func (f *firstLine) Write(p []byte) (int, error) {
	if !f.told {
		f.told = true
		close(f.begun)
	}
	return f.t.Output().Write(p)
}

// processes lists those that have text in their command line, with their command.
func processes(t *testing.T, text string) map[int]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for _, dir := range dirs {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline")) // empty for one that is dead and not waited for
		if err != nil || !strings.Contains(string(line), text) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			t.Fatal(err)
		}
		out[pid] = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
	}
	return out
}

// family lists the children of a pipeline: each is told the port of its server.
func (p *pipeline) family(t *testing.T) map[int]string {
	t.Helper()
	out := processes(t, p.url())
	for pid, line := range processes(t, "-port\x00"+strconv.Itoa(p.natsTCP)) {
		out[pid] = line
	}
	delete(out, p.cmd.Process.Pid)
	return out
}

func (p *pipeline) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP) }

// child finds the process of a service; zero while there is none.
func (p *pipeline) child(t *testing.T, service string) int {
	t.Helper()
	for pid, line := range p.family(t) {
		ours := strings.Contains(line, "nats.embedded.port") // those that a test begins beside it lack it
		if ours && filepath.Base(strings.Fields(line)[0]) == "rtap-"+service {
			return pid
		}
	}
	return 0
}

// holder finds the process of a service that works on a stream; zero while there is none.
func (p *pipeline) holder(t *testing.T, service, stream string) int {
	t.Helper()
	for pid, streams := range p.works(t, service) {
		if slices.Contains(streams, stream) {
			return pid
		}
	}
	return 0
}

// works lists the processes of a service that are ready, with the streams that each works on.
func (p *pipeline) works(t *testing.T, service string) map[int][]string {
	t.Helper()
	conn, err := nats.Connect(p.url(), nats.Timeout(30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all, err := bus.AskStatuses(t.Context(), conn, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int][]string{}
	for _, s := range all {
		if s.GetService() == service && s.GetReady() {
			out[int(s.GetPid())] = s.GetStreams()
		}
	}
	return out
}
