// Package rig runs the real pipeline for a measurement and watches it from outside: its
// messages as a user gets them, its processes as the kernel sees them, its own counters.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Options of [Start].
type Options struct {
	Flags   service.Flags // --config and --set of every process
	STT     int
	NATS    string // a running server; "" for one of the pipeline's own
	Sources []string
	// Services that must be ready; a pipeline whose sources have ended has no capture.
	Services []string
	Environ  []string
}

// Pipeline is a running `rtap up` with a data folder and ports of its own.
type Pipeline struct {
	Bus *bus.Bus
	// Began is when the command was started, Ready how long after it every stage was.
	Began time.Time
	Ready time.Duration
	Dir   string

	websocket int
	cmd       *exec.Cmd
	stderr    *tail
	done      chan struct{}
	err       error // after done
	close     sync.Once
}

// startTimeout is how long the pipeline may take to be ready.
const startTimeout = 60 * time.Second

// ErrEnded says that the pipeline ended by itself, or that one of its processes did.
var ErrEnded = errors.New("the pipeline ended")

// Start runs the pipeline and returns when every stage is ready. The caller closes it.
func Start(ctx context.Context, o Options) (*Pipeline, error) {
	dir, err := Folder("rtap-bench-*")
	if err != nil {
		return nil, err
	}
	p := &Pipeline{Dir: dir, stderr: &tail{}, done: make(chan struct{})}
	if err := p.start(ctx, o); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Pipeline) start(ctx context.Context, o Options) error {
	ports, err := freePorts(ctx, 5)
	if err != nil {
		return err
	}
	p.websocket = ports[1]
	o.Flags.Set = slices.Clone(o.Flags.Set)
	for i, key := range []string{"egress.http_port", "egress.websocket.port", "egress.zmq.transcript_port", "egress.zmq.event_port", "nats.embedded.port"} {
		o.Flags.Set = append(o.Flags.Set, key+"="+strconv.Itoa(ports[i]))
	}
	loaded, err := o.Flags.Load(o.Environ)
	if err != nil {
		return err
	}
	url := "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[4]))
	if o.NATS != "" {
		url = o.NATS
	}
	loaded.NATS.URL = url
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the program: %w", err)
	}
	// Close stops it, in order: an end of ctx must not kill it.
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), exe, o.arguments(filepath.Join(p.Dir, "data"))...)
	p.cmd.Env, p.cmd.Stderr = o.Environ, p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p.cmd.WaitDelay = loaded.ShutdownTimeout + 5*time.Second
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return fmt.Errorf("starting the pipeline: %w", err)
	}
	if p.Bus, err = bus.Connect(loaded.Config, "rtap-bench", slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	return p.await(ctx, o.Services)
}

// run is the process's life. The parent-death signal follows the thread that forked, so
// this one must live as long.
func (p *Pipeline) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	p.Began = time.Now()
	if err := p.cmd.Start(); err != nil {
		p.cmd.Process = nil
		started <- err
		return
	}
	started <- nil
	p.err = p.cmd.Wait()
}

func (o Options) arguments(data string) []string {
	out := []string{"up", "--json", "--data-dir", data, "--stt", strconv.Itoa(max(1, o.STT))}
	if o.NATS != "" {
		out = append(out, "--nats", o.NATS)
	}
	if o.Flags.File != "" {
		out = append(out, "--config", o.Flags.File)
	}
	for _, kv := range o.Flags.Set {
		out = append(out, "--set", kv)
	}
	for _, s := range o.Sources {
		out = append(out, "--source", s)
	}
	return out
}

// await asks the stages until all are ready.
func (p *Pipeline) await(ctx context.Context, services []string) error {
	deadline := time.Now().Add(startTimeout)
	for time.Now().Before(deadline) {
		if err := p.Alive(); err != nil {
			return err
		}
		ready := map[string]bool{}
		if p.Bus.Conn().IsConnected() {
			seen, err := p.Bus.Statuses(ctx, 20*time.Millisecond)
			if err != nil && ctx.Err() == nil {
				return err
			}
			for _, s := range seen {
				ready[s.GetService()] = s.GetReady()
			}
		}
		missing := slices.DeleteFunc(slices.Clone(services), func(s string) bool { return ready[s] })
		if len(missing) == 0 {
			p.Ready = time.Since(p.Began)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return fmt.Errorf("the pipeline is not ready after %v: %s", startTimeout, p.stderr)
}

// Statuses asks every process how it is.
func (p *Pipeline) Statuses(ctx context.Context) ([]*rtapv1.ServiceStatus, error) {
	return p.Bus.Statuses(ctx, 300*time.Millisecond)
}

// PID of `rtap up`, whose children the other processes are.
func (p *Pipeline) PID() int { return p.cmd.Process.Pid }

// Websocket is the address of the gateway's feed.
func (p *Pipeline) Websocket(path string) string {
	return "ws://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(p.websocket)) + path
}

// Alive says whether the pipeline still runs, and what it said when it does not.
func (p *Pipeline) Alive() error {
	select {
	case <-p.done:
		err := fmt.Errorf("%w: %w: %s", ErrEnded, p.err, p.stderr)
		var exit *exec.ExitError
		if errors.As(p.err, &exit) && exit.ExitCode() == lifecycle.ExitUsage {
			return lifecycle.Usage(err)
		}
		return err
	default:
		return nil
	}
}

// Log is the end of what the processes have written.
func (p *Pipeline) Log() string { return p.stderr.String() }

// Close stops the pipeline and deletes its data. It may be called again.
func (p *Pipeline) Close() (err error) {
	p.close.Do(func() {
		if p.Bus != nil {
			p.Bus.Conn().Close()
		}
		if p.cmd != nil && p.cmd.Process != nil {
			_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-p.done:
			case <-time.After(30 * time.Second):
				_ = p.cmd.Process.Kill()
				<-p.done
			}
		}
		err = os.RemoveAll(p.Dir)
	})
	return err
}

func freePorts(ctx context.Context, n int) ([]int, error) {
	var out []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choosing a port: %w", err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

const tailBytes = 8 << 10

var _ io.Writer = (*tail)(nil)

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b...)
	if len(t.buf) > 2*tailBytes {
		t.buf = append([]byte(nil), t.buf[len(t.buf)-tailBytes:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := bytes.Split(bytes.TrimSpace(t.buf), []byte("\n"))
	return strings.TrimSpace(string(bytes.Join(lines[max(0, len(lines)-12):], []byte("\n"))))
}
