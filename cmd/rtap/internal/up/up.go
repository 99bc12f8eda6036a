// Package up runs the whole pipeline on one machine: a NATS server and one process per
// service, each kept alive, none left behind.
package up

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nuid"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
)

type options struct {
	flags     service.Flags
	sources   []string
	stt       int
	standby   bool
	nats      string
	dataDir   string
	untilDone bool
	json      bool
}

func parse(env lifecycle.Env) (options, error) {
	var o options
	fs := flag.NewFlagSet("rtap up", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.flags.Register(fs)
	fs.Func("source", "`URI`: mic | mic:NAME | file:PATH[?pace=realtime|fast][&stream=ID] | mock | listen; may be repeated", func(s string) error {
		o.sources = append(o.sources, s)
		return nil
	})
	fs.IntVar(&o.stt, "stt", 1, "number of stt processes")
	fs.BoolVar(&o.standby, "standby", false, "run a second gateway that takes over from the first")
	fs.StringVar(&o.nats, "nats", "", "`URL` of a running server, instead of one of our own")
	fs.StringVar(&o.dataDir, "data-dir", "data", "`folder` of the server's data")
	fs.BoolVar(&o.untilDone, "until-done", false, "exit 0 when every file has been played and its last final is out")
	fs.BoolVar(&o.json, "json", false, "print finals as JSON, one a line")
	others, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	if len(others) > 0 || o.stt < 1 {
		return o, lifecycle.Usage(fmt.Errorf("bad arguments %v: --stt wants at least 1", others))
	}
	return o, nil
}

// Run is `rtap up`.
func Run(ctx context.Context, env lifecycle.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	loaded, err := o.flags.Load(env.Environ)
	if err != nil {
		return err
	}
	if len(o.sources) == 0 {
		o.sources = loaded.Audio.Sources
	}
	if o.nats != "" {
		loaded.NATS.URL = o.nats
	}
	var mu sync.Mutex
	stderr := func() *lines { return &lines{mu: &mu, out: env.Stderr} }
	log, err := obs.NewLogger(loaded.Log, "up", stderr())
	if err != nil {
		return lifecycle.Usage(err)
	}
	children, err := plan(ctx, o, loaded.Config)
	if err != nil {
		return err
	}
	b, err := bus.Connect(loaded.Config, "rtap-up", log)
	if err != nil {
		return err
	}
	var awaited []string
	if o.untilDone {
		if awaited, err = streamIDs(ctx, env, o.sources); err != nil {
			return err
		}
	}
	printer := &view.Printer{Out: env.Stdout, JSON: o.json}
	g := lifecycle.Group{Timeout: 2 * loaded.ShutdownTimeout}
	// A capture process that dies goes on with its files where it was, in this run.
	environ := append(slices.Clone(env.Environ), service.RunVariable+"="+nuid.Next())
	for i, c := range children {
		c.stderr, c.stop, c.environ = stderr(), loaded.ShutdownTimeout+time.Second, environ
		if i == 0 && o.nats == "" {
			g.Add(lifecycle.Part{Name: c.name, Run: func(ctx context.Context) error { return c.run(ctx, log) }})
			g.Add(lifecycle.Part{Name: "bus", Run: b.Run, Stop: func(context.Context) error { b.Conn().Close(); return nil }})
			continue
		}
		if i == 0 {
			g.Add(lifecycle.Part{Name: "bus", Run: b.Run, Stop: func(context.Context) error { b.Conn().Close(); return nil }})
		}
		g.Add(lifecycle.Part{Name: c.name, Run: func(ctx context.Context) error {
			if strings.HasPrefix(c.name, "egress") || c.name == "capture" {
				// Sources wait until every final can be seen by the printer.
				if err := printer.Await(ctx); err != nil {
					return err
				}
			}
			err := c.run(ctx, log)
			if err == nil && c.mayEnd {
				<-ctx.Done() // its streams' ends are still to come
			}
			return err
		}})
	}
	if o.nats == "" {
		g.Add(lifecycle.Part{Name: "disk", Run: func(ctx context.Context) error { return restartAfterFullDisk(ctx, b, children[0], o.dataDir, log) }})
	}
	g.Add(lifecycle.Part{Name: "hangups", Run: func(ctx context.Context) error { return passHangups(ctx, children) }})
	g.Add(lifecycle.Part{Name: "printer", Run: func(ctx context.Context) error {
		if err := b.Await(ctx); err != nil {
			return err
		}
		return printer.Run(ctx, b, awaited)
	}})
	return g.Run(ctx)
}

// leastFree is what the server's disk must have left: a full one stops it until it is
// started again.
const leastFree = 64 << 20

// plan lists the processes in the order of the pipeline.
func plan(ctx context.Context, o options, cfg *config.Config) ([]*child, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding the programs: %w", err)
	}
	dir := filepath.Dir(exe)
	var shared []string
	if o.flags.File != "" {
		shared = append(shared, "--config", o.flags.File)
	}
	for _, kv := range o.flags.Set {
		shared = append(shared, "--set", kv)
	}
	var out []*child
	if o.nats == "" {
		e := cfg.NATS.Embedded
		if need := cfg.Streams.ReservedMB(); need > e.MaxStorageMB {
			return nil, lifecycle.Usage(fmt.Errorf("the streams reserve %d MB (streams.*.max_mb), more than nats.embedded.max_storage_mb = %d:"+
				" make them smaller, or the server's storage larger", need, e.MaxStorageMB))
		}
		if free, err := machine.FreeDisk(o.dataDir); err == nil && free < leastFree {
			return nil, lifecycle.Usage(fmt.Errorf("only %d MB are free on the disk of %s: free at least %d, or choose another --data-dir", free>>20, o.dataDir, leastFree>>20))
		}
		port := e.Port
		if port <= 0 {
			if port, err = freePort(ctx, e.Listen); err != nil {
				return nil, err
			}
		}
		cfg.NATS.URL = "nats://" + net.JoinHostPort(e.Listen, strconv.Itoa(port))
		out = append(out, &child{name: "nats-server", path: exe, args: []string{
			ServerCommand, "-host", e.Listen, "-port", strconv.Itoa(port), "-dir", filepath.Join(o.dataDir, "nats"),
			"-max-storage-mb", strconv.Itoa(e.MaxStorageMB), "-max-memory-mb", strconv.Itoa(e.MaxMemoryMB),
		}})
	}
	shared = append(shared, "--set", "nats.url="+cfg.NATS.URL)
	add := func(name, service string, more ...string) *child {
		c := &child{name: name, path: filepath.Join(dir, "rtap-"+service), args: append(append([]string(nil), shared...), more...), reloads: true}
		out = append(out, c)
		return c
	}
	// Several pipelines or workers on one host must not fight over private ports.
	add("egress", "egress")
	if o.standby {
		e := cfg.Egress
		var ports []string
		for key, port := range map[string]int{
			"http_port": e.HTTPPort + 1, "websocket.port": e.WebSocket.Port + 10,
			"zmq.event_port": e.ZMQ.EventPort + 10, "zmq.transcript_port": e.ZMQ.TranscriptPort + 10,
		} {
			ports = append(ports, "--set", fmt.Sprintf("egress.%s=%d", key, port))
		}
		add("egress standby", "egress", ports...)
	}
	for n := range o.stt {
		args := []string{"--set", "http.stt=127.0.0.1:0"}
		if o.stt > 1 && cfg.Resilience.Bulkhead.MaxConcurrent == 0 {
			// One process takes every core by itself; several share them.
			args = append(args, "--set", fmt.Sprintf("resilience.bulkhead.max_concurrent=%d", max(1, runtime.GOMAXPROCS(0)/o.stt)))
		}
		add(fmt.Sprintf("stt %d", n+1), "stt", args...)
	}
	add("vad", "vad", "--set", "http.vad=127.0.0.1:0")
	var sources []string
	for _, s := range o.sources {
		sources = append(sources, "--source", s)
	}
	add("capture", "capture", append(sources, "--set", "http.capture=127.0.0.1:0")...).mayEnd = true
	for _, c := range out {
		if _, err := os.Stat(c.path); err != nil {
			return nil, lifecycle.Usage(fmt.Errorf("%w: run `make build`", err))
		}
	}
	return out, nil
}

// streamIDs asks the capture program, which alone reads source addresses, for the streams
// that the sources will be.
func streamIDs(ctx context.Context, env lifecycle.Env, sources []string) ([]string, error) {
	path, err := sibling.Path("capture")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"streams"}, sources...)...)
	cmd.Stderr = env.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, lifecycle.Usage(fmt.Errorf("reading the sources: %w", err))
	}
	return strings.Fields(string(out)), nil
}

func freePort(ctx context.Context, host string) (int, error) {
	l, err := obs.Listen(ctx, net.JoinHostPort(host, "0"), "nats.embedded.listen")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, fmt.Errorf("choosing a port: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(port))
}
