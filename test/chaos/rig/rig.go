package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
)

// Names of the processes.
const (
	NATS     = "nats"
	Capture1 = "capture 1"
	Capture2 = "capture 2"
	VAD1     = "vad 1"
	VAD2     = "vad 2"
	STT1     = "stt 1"
	STT2     = "stt 2"
	Gateway1 = "egress 1"
	Gateway2 = "egress 2"
	Up       = "rtap up"
	Burst    = "capture of a burst"
)

// restartAfter is the pause of a supervisor: that of `rtap up` after a first death.
const restartAfter = 100 * time.Millisecond

// Rig is a pipeline: a server, two of each service, a proxy between each service and the
// server; or `rtap up` with a standby.
type Rig struct {
	Dir       string
	URL       string // of the server, without a proxy
	Gateways  []Gateway
	Processes map[string]*Process
	Proxies   map[string]*Proxy
	Bus       *bus.Bus

	bin   string
	log   *os.File
	kind  Kind
	ports []int
	run   int           // that sources belong to
	plan  func() string // failpoints of sources that are started
	fired func(name string, at time.Time)
	disk  string // a small one that is mounted, or ""
}

// Gateway is where a gateway listens.
type Gateway struct{ HTTP, WebSocket, Feed, Events int }

// Kind of pipeline.
type Kind int

// Kinds of pipeline.
const (
	Single  Kind = iota // one server, two of each service
	ByUp                // `rtap up --standby --stt 2`
	Cluster             // three servers as in deploy/nats/cluster, two of each service
	Stepped             // as Single, of programs whose wall clock can be stepped
)

// New makes the folder and chooses ports; bin holds the programs. Start starts.
func New(bin string, kind Kind) (*Rig, error) {
	if kind == Stepped {
		bin = filepath.Join(bin, "wallclock")
		if _, err := os.Stat(filepath.Join(bin, "rtap")); err != nil {
			return nil, fmt.Errorf("finding programs with a clock of their own, which `make chaos` builds: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", "rtap-chaos-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	log, err := os.Create(filepath.Join(dir, "processes.log")) //nolint:gosec // in the folder just made
	if err != nil {
		return nil, fmt.Errorf("making the log: %w", err)
	}
	ports, err := freePorts(14)
	if err != nil {
		return nil, err
	}
	r := &Rig{Dir: dir, URL: "nats://127.0.0.1:" + strconv.Itoa(ports[8]), Processes: map[string]*Process{}, Proxies: map[string]*Proxy{}, bin: bin, log: log, kind: kind, ports: ports}
	for g := range 2 {
		p := ports[4*g:]
		if kind == ByUp && g == 1 { // where --standby puts the second gateway
			p = []int{ports[0] + 1, ports[1] + 10, ports[2] + 10, ports[3] + 10}
		}
		r.Gateways = append(r.Gateways, Gateway{p[0], p[1], p[2], p[3]})
	}
	if err := r.SetClock(0); err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return r, nil
}

// Log is what all processes wrote.
func (r *Rig) Log() string { return r.log.Name() }

// Restarts says whether a source begins anew when its process does: a new `rtap up` is
// asked to play its files.
func (r *Rig) Restarts() bool { return r.kind == ByUp }

// Note writes a line of the suite's own among those of the processes.
func (r *Rig) Note(format string, args ...any) {
	fmt.Fprintf(r.log, "chaos: %s "+format+"\n", append([]any{time.Now().UTC().Format("15:04:05.000")}, args...)...)
}

func (r *Rig) add(name, program string, args ...string) *Process {
	p := &Process{Name: name, path: filepath.Join(r.bin, program), args: args, environ: []string{clockEnv + "=" + r.clock()}, log: r.log, restart: restartAfter}
	r.Processes[name] = p
	return p
}

// Start starts everything but the sources. Of `rtap up` nothing: its sources are its own.
func (r *Rig) Start(ctx context.Context) error {
	if r.kind != ByUp {
		if err := r.servers(); err != nil {
			return err
		}
		for n, name := range []string{Gateway1, Gateway2} {
			g := r.Gateways[n]
			r.add(name, "rtap-egress", r.args("egress", set("egress.http_port", g.HTTP), set("egress.websocket.port", g.WebSocket),
				set("egress.zmq.transcript_port", g.Feed), set("egress.zmq.event_port", g.Events))...).start()
		}
		for _, name := range []string{STT1, STT2} {
			r.add(name, "rtap-stt", r.args("stt", "http.stt=127.0.0.1:0", "resilience.bulkhead.max_concurrent=1")...).start()
		}
		for _, name := range []string{VAD1, VAD2} {
			r.add(name, "rtap-vad", r.args("vad", "http.vad=127.0.0.1:0")...).start()
		}
	}
	cfg := config.Default()
	cfg.NATS.URL = r.URL
	if r.kind == Cluster {
		cfg.NATS.User, cfg.NATS.Password, cfg.NATS.InboxPrefix, cfg.NATS.Replicas = "operator", password, "_INBOX_operator", 3
	}
	var err error
	if r.Bus, err = bus.Connect(cfg, "chaos", slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if r.kind == ByUp {
		return nil
	}
	return r.Ready(ctx, map[string]int{"egress": 2, "stt": 2, "vad": 2})
}

func set(key string, value int) string { return key + "=" + strconv.Itoa(value) }

func (r *Rig) args(service string, settings ...string) []string {
	if r.kind == Cluster {
		// An election takes longer than the usual ring holds.
		return r.arguments(append(settings, "audio.ring_buffer_size_ms=15000", "nats.url="+r.URL, "nats.replicas=3", "nats.user="+service, "nats.password="+password, "nats.inbox_prefix=_INBOX_"+service))
	}
	return r.arguments(append(settings, "nats.url=nats://"+r.Proxies[service].Listen()))
}

func (r *Rig) arguments(settings []string) (out []string) {
	settings = slices.Concat(settings, common)
	if r.kind == Stepped {
		// What tells a job that is kept back from one that is worked on, where all workers are new.
		settings = append(settings, "stt.job_timeout=10s")
	}
	for _, s := range settings {
		out = append(out, "--set", s)
	}
	return out
}

// common settings: jobs of a dead worker come again while the round is still on.
var common = []string{"stt.ack_wait=3s", "stt.max_deliveries=20", "log.level=INFO", "log.format=json"}

// Ready waits until so many processes of each service say that they are.
func (r *Rig) Ready(ctx context.Context, want map[string]int) error {
	var seen map[string]int
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); {
		seen = map[string]int{}
		if r.Bus.Conn().IsConnected() {
			all, err := r.Bus.Statuses(ctx, 200*time.Millisecond)
			if err == nil {
				for _, s := range all {
					if s.GetReady() {
						seen[s.GetService()]++
					}
				}
			}
		}
		enough := true
		for service, n := range want {
			enough = enough && seen[service] >= n
		}
		if enough {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the pipeline is not ready: %v of %v; see %s", seen, want, r.Log())
}

// Active returns the active gateway's process and the other one's.
func (r *Rig) Active(ctx context.Context) (active, standby string) {
	names := []string{Gateway1, Gateway2}
	for n, g := range r.Gateways {
		if role(ctx, g) == "active" {
			return names[n], names[1-n]
		}
	}
	return names[0], names[1]
}

func role(ctx context.Context, g Gateway) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", g.HTTP), nil)
	if err != nil {
		return ""
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer func() { _ = res.Body.Close() }()
	var h struct{ Role string }
	_ = json.NewDecoder(res.Body).Decode(&h)
	return h.Role
}

// Close ends everything; keep leaves the folder for a look at the log.
func (r *Rig) Close(keep bool) {
	r.StopSources()
	if r.Bus != nil {
		r.Bus.Conn().Close()
	}
	for _, name := range []string{Gateway1, Gateway2, VAD1, VAD2, STT1, STT2, NATS, Nodes[0], Nodes[1], Nodes[2]} {
		if p := r.Processes[name]; p != nil {
			p.Close()
		}
	}
	for _, p := range r.Proxies {
		p.Close()
	}
	r.unmount()
	_ = r.log.Close()
	if !keep {
		_ = os.RemoveAll(r.Dir)
	}
}

// labelled puts the process's name before each line, and shows it to line.
type labelled struct {
	out  io.Writer
	name string
	line func(string)
	rest string
}

func (l *labelled) Write(b []byte) (int, error) {
	all := strings.Split(l.rest+string(b), "\n")
	l.rest = all[len(all)-1]
	var out strings.Builder
	for _, line := range all[:len(all)-1] {
		out.WriteString("[" + l.name + "] " + line + "\n")
		l.line(line)
	}
	_, err := io.WriteString(l.out, out.String())
	return len(b), err
}

func freePorts(n int) ([]int, error) {
	var out []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("choosing a port: %w", err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out, nil
}
