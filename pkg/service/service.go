// Package service is what every RTAP process does the same way: configuration, logs,
// the bus, its own HTTP endpoint, the micro registration and an ordered stop.
package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/micro"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Runtime is a started process, before its own parts run.
type Runtime struct {
	Config                     *config.Config
	Log                        *slog.Logger
	Service, Instance, Version string
	Metrics                    *obs.Metrics
	Health                     *obs.Health
	Bus                        *bus.Bus
	// RunID names the run of `rtap up` that the process belongs to; empty outside of one.
	RunID string

	flags   Flags
	environ []string
	journal journal
	answers map[string]func(context.Context, url.Values) ([]byte, error)
}

// RunVariable is the environment variable that holds the name of a run of `rtap up`.
const RunVariable = "RTAP_RUN_ID"

func variable(environ []string, name string) string {
	for _, kv := range environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// Flags are the arguments that every process takes.
type Flags struct {
	File string
	Set  []string
}

// Register adds --config, --profile and --set to fs.
func (f *Flags) Register(fs *flag.FlagSet) {
	fs.StringVar(&f.File, "config", "", "configuration `file` (default config/default.yaml)")
	fs.Func("profile", "latency | balanced | accuracy: a `name` of config/NAME.yaml; short for --set profile=NAME", func(s string) error {
		f.Set = append(f.Set, "profile="+s)
		return nil
	})
	fs.Func("set", "`key=value` over the configuration; may be repeated", func(s string) error {
		f.Set = append(f.Set, s)
		return nil
	})
}

// Load reads the configuration that the flags and the environment name.
func (f *Flags) Load(environ []string) (*config.Loaded, error) {
	return f.load(environ, nil)
}

func (f *Flags) load(environ []string, running map[string]string) (*config.Loaded, error) {
	l, err := config.Load(config.Options{File: f.File, Environ: environ, Set: f.Set, Running: running})
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	return l, nil
}

// Start reads flags and configuration and begins to connect. Flags of the process's own
// are added by more, which may be nil.
func Start(env lifecycle.Env, more func(*flag.FlagSet)) (*Runtime, error) {
	fs := flag.NewFlagSet("rtap-"+env.Service, flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	var f Flags
	f.Register(fs)
	showVersion := fs.Bool("version", false, "print the version and exit")
	if more != nil {
		more(fs)
	}
	if err := fs.Parse(env.Args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: err}
		}
		return nil, lifecycle.Usage(err)
	}
	if *showVersion {
		fmt.Fprintf(env.Stdout, "rtap-%s %s\n", env.Service, env.Version)
		return nil, &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: flag.ErrHelp}
	}
	loaded, err := f.Load(env.Environ)
	if err != nil {
		return nil, err
	}
	log, journal, err := newLog(env, loaded.Log)
	if err != nil {
		return nil, err
	}
	// It asks for the configuration to be read again; who has nothing to change stays.
	signal.Ignore(syscall.SIGHUP)
	host, _ := os.Hostname()
	r := &Runtime{
		flags: f, environ: env.Environ, journal: journal, RunID: variable(env.Environ, RunVariable),
		Config: loaded.Config, Log: log, Service: env.Service, Version: env.Version,
		Instance: fmt.Sprintf("%s-%d", host, os.Getpid()), Metrics: obs.NewMetrics(env.Service, env.Version),
	}
	r.Health = obs.NewHealth(r.Service, r.Instance, r.Version, r.Metrics)
	r.Metrics.SetConfig(sum(loaded), loaded.Log.Dir)
	var changed []string
	for _, s := range loaded.Settings() {
		if s.Origin != "built-in default" && !strings.Contains(s.Origin, "default.yaml:") {
			changed = append(changed, s.Key+"="+s.Value)
		}
	}
	log.Info("starting", "version", r.Version, "instance", r.Instance, "config_files", loaded.Files(), "overrides", changed)
	if r.Bus, err = bus.Connect(r.Config, "rtap-"+r.Service+" "+r.Instance, log); err != nil {
		return nil, err
	}
	r.reportErrors()
	r.Bus.OnDrift(r.Service, r.drifted)
	r.Health.OnChange(func(from, to string) {
		log.Info("state changed", "from", from, "to", to)
		r.Emit("state", rtapv1.ServiceEvent_SEVERITY_INFO, "state changed", func(e *rtapv1.ServiceEvent) { e.From, e.To = from, to })
	})
	return r, nil
}

// Reload reads the configuration again, with what was changed while running over it.
// Config itself stays as it was.
func (r *Runtime) Reload(running map[string]string) (*config.Config, error) {
	l, err := r.flags.load(r.environ, config.For(running, r.Service, r.Instance))
	if err != nil {
		return nil, err
	}
	return l.Config, nil
}

// sum is a number that changes with the effective configuration; secrets are left out.
func sum(l *config.Loaded) uint32 {
	h := fnv.New32a()
	for _, s := range l.Settings() {
		fmt.Fprintf(h, "%s=%s\n", s.Key, s.Value)
	}
	return h.Sum32()
}

// Emit records an event of this process; fill may be nil.
func (r *Runtime) Emit(kind string, severity rtapv1.ServiceEvent_Severity, message string, fill func(*rtapv1.ServiceEvent)) {
	e := &rtapv1.ServiceEvent{
		Type: "Event", At: timestamppb.Now(), Service: r.Service, Instance: r.Instance,
		Kind: kind, Severity: severity, Message: message,
	}
	if fill != nil {
		fill(e)
	}
	if kind == "config" {
		r.Metrics.CountConfigChange(severity < rtapv1.ServiceEvent_SEVERITY_WARNING)
	}
	r.Bus.Emit(e)
}

// Run serves address (set by key; empty for none), connects, registers, runs the parts,
// and stops everything in reverse order.
func (r *Runtime) Run(ctx context.Context, address, key string, parts ...lifecycle.Part) error {
	g := lifecycle.Group{Timeout: r.Config.ShutdownTimeout}
	if address != "" {
		p, err := r.endpoint(ctx, address, key)
		if err != nil {
			return err
		}
		g.Add(p)
	}
	g.Add(lifecycle.Part{Name: "bus", Run: r.Bus.Run, Stop: func(ctx context.Context) error {
		r.Health.SetState(obs.StateStopped)
		if until, ok := ctx.Deadline(); ok { // a server that hangs does not get the time of what stops after it
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, time.Until(until)/2)
			defer cancel()
		}
		return r.Bus.Close(ctx)
	}})
	g.Add(lifecycle.Part{Name: "health", Run: r.watchBus})
	g.Add(lifecycle.Part{Name: "store", Run: r.watchStore})
	g.Add(lifecycle.Part{Name: "socket", Run: r.socket})
	g.Add(lifecycle.Part{Name: "log level", Run: r.followLevel})
	g.Add(lifecycle.Part{Name: "metrics", Run: r.Metrics.Run})
	g.Add(lifecycle.Part{Name: "registration", Run: r.register})
	for _, p := range parts {
		g.Add(p)
	}
	g.Add(lifecycle.Part{Name: "drain", Stop: func(context.Context) error { r.Health.SetState(obs.StateDraining); return nil }})
	return g.Run(ctx)
}

func (r *Runtime) endpoint(ctx context.Context, address, key string) (lifecycle.Part, error) {
	l, err := obs.Listen(ctx, address, key)
	if err != nil {
		return lifecycle.Part{}, err
	}
	r.Health.SetAddress(l.Addr().String())
	mux := http.NewServeMux()
	obs.Register(mux, r.Health, r.Metrics)
	return HTTPPart("http", l, mux), nil
}

// watchBus keeps the bus's part of readiness up to date.
func (r *Runtime) watchBus(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	r.Health.SetAttribute(bus.AttributeURL, config.WithoutSecrets(r.Config.NATS.URL))
	for {
		r.Health.SetProblem("nats", r.Bus.Problem())
		if conn := r.Bus.Conn(); conn.IsConnected() {
			r.Health.SetAttribute(bus.AttributeServer, bus.ServerOf(conn))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// register shows the process to `nats micro ls` and answers status requests.
func (r *Runtime) register(ctx context.Context) error {
	if err := r.Bus.Await(ctx); err != nil {
		return err
	}
	svc, err := micro.AddService(r.Bus.Conn(), micro.Config{
		Name: "rtap-" + r.Service, Version: semver(r.Version), Description: "RTAP " + r.Service,
		Metadata: map[string]string{"instance": r.Instance, "version": r.Version},
	})
	if err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	err = svc.AddEndpoint("status", micro.HandlerFunc(func(req micro.Request) {
		data, err := wire.MarshalJSON(r.Health.Status())
		if err != nil {
			_ = req.Error("500", err.Error(), nil)
			return
		}
		_ = req.Respond(data)
	}), micro.WithEndpointSubject(bus.ControlStatus), micro.WithEndpointQueueGroupDisabled())
	if err != nil {
		return fmt.Errorf("registering: %w", err)
	}
	return errors.Join(r.answer(ctx, svc), svc.Stop())
}

// semver gives micro the three numbers it insists on.
func semver(version string) string {
	var major, minor, patch int
	if n, _ := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d.%d", &major, &minor, &patch); n != 3 {
		return "0.0.0"
	}
	return fmt.Sprintf("%d.%d.%d", major, minor, patch)
}
