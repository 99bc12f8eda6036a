package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/nats-io/nats.go/micro"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// logKept is how much of its own log a process keeps in memory, in bytes.
const logKept = 256 << 10

// journal is the process's log: what level it has, and the newest lines.
type journal struct {
	level  *slog.LevelVar
	recent *control.Recent
}

// newLog makes the logger, whose level can change at any time.
func newLog(env lifecycle.Env, cfg config.Log) (*slog.Logger, journal, error) {
	out, err := obs.NewLogger(cfg, env.Service, env.Stderr)
	if err != nil {
		return nil, journal{}, lifecycle.Usage(err)
	}
	j := journal{level: new(slog.LevelVar), recent: control.NewRecent(logKept)}
	if err := j.set(cfg.Level); err != nil {
		return nil, journal{}, lifecycle.Usage(err)
	}
	return slog.New(control.Handler(out.Handler(), j.level, j.recent)), j, nil
}

func (j journal) set(name string) error {
	if name == "WARNING" {
		name = "WARN"
	}
	if err := j.level.UnmarshalText([]byte(name)); err != nil {
		return fmt.Errorf("log.level: %w", err)
	}
	return nil
}

// private gives what an operator may ask this process.
func (r *Runtime) private() *control.Process {
	return &control.Process{Status: r.Health.Status, Metrics: r.Metrics.Registry, Logs: r.journal.recent, More: r.answers}
}

// Answer lets an operator ask this process one more question of pkg/control; call it before
// Run.
func (r *Runtime) Answer(question string, f func(ctx context.Context, q url.Values) ([]byte, error)) {
	if r.answers == nil {
		r.answers = map[string]func(context.Context, url.Values) ([]byte, error){}
	}
	r.answers[question] = f
}

// socket answers questions on this host's or container's own socket, NATS or not. A host
// that has no place for one loses only that.
func (r *Runtime) socket(ctx context.Context) error {
	l, err := control.Listen(ctx, r.Instance)
	if err != nil {
		r.Log.Warn("the private socket cannot be opened; `rtap profile` and `rtap diagnostics` need NATS then", "error", err)
		<-ctx.Done()
		return ctx.Err()
	}
	return HTTPPart("socket", l, r.private().Handler()).Run(ctx)
}

// answer answers the same over NATS, as endpoints of svc.
func (r *Runtime) answer(ctx context.Context, svc micro.Service) error {
	return r.private().Serve(ctx, svc, r.Bus.Conn(), r.Instance)
}

// followLevel takes over what `rtap config set log.level` changes, and what the
// configuration says after a SIGHUP.
func (r *Runtime) followLevel(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	r.Health.SetAttribute(bus.AttributeLogLevel, r.journal.level.Level().String())
	changes := make(chan Settings)
	watching := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer func() { cancel(); <-watching }()
	go func() { defer close(watching); r.WatchSettings(ctx, changes) }()
	configured := r.Config.Log.Level
	var last Settings
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			var l *config.Loaded
			if l, err = r.flags.Load(r.environ); err == nil {
				configured = l.Log.Level
			}
		case last = <-changes:
		}
		level := configured
		if running, ok := config.For(last.Values, r.Service, r.Instance)[config.LogLevel]; ok {
			level = running
		}
		r.takeLevel(level, last.Revision, err)
	}
}

// takeLevel changes the level and says so; err is why the configuration could not be read.
func (r *Runtime) takeLevel(level string, revision uint64, err error) {
	from := r.journal.level.Level()
	err = errors.Join(err, r.journal.set(level))
	if to := r.journal.level.Level(); from != to {
		// At a level that is always shown, so that the log itself says what it leaves out.
		r.Log.Log(context.Background(), max(slog.LevelInfo, to), "log level changed", "from", from, "to", to)
		r.Emit("config", rtapv1.ServiceEvent_SEVERITY_INFO, "log level changed", func(e *rtapv1.ServiceEvent) {
			e.From, e.To = from.String(), to.String()
		})
	}
	problem := ""
	if err != nil {
		problem = strings.ReplaceAll(err.Error(), "\n", "; ")
		r.Log.Error("the configuration cannot be read again; the log level stays", "error", err)
	}
	r.Health.SetAttribute(bus.AttributeLogLevel, r.journal.level.Level().String())
	r.Health.SetAttribute(bus.AttributeLogError, problem)
	r.Health.SetAttribute(bus.AttributeLogRevision, strconv.FormatUint(revision, 10))
}
