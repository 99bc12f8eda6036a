package settings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// askFor is how long processes have to answer; those that answer late do so next time.
	askFor = 300 * time.Millisecond
	// absent is after how long without an answer nobody is taken to be there.
	absent = 3 * time.Second
)

// running talks to the processes over the bus.
func running(ctx context.Context, env lifecycle.Env, command string) error {
	var f service.Flags
	fs := flags(command, &f, env.Stderr)
	url := fs.String("nats", "", "`URL` of the server")
	wait := fs.Duration("wait", 2*time.Minute, "how long the processes may take")
	process := fs.String("process", "", "only the processes of this `service`, or this instance (log.level)")
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	if command == "set" && len(args) == 1 {
		if key, value, ok := strings.Cut(args[0], "="); ok {
			args = []string{key, value}
		}
	}
	if want := map[string]int{"set": 2, "unset": 1, "changes": 0}[command]; len(args) != want {
		return lifecycle.Usage(fmt.Errorf("rtap config %s: got %d arguments, want %d", command, len(args), want))
	}
	key := ""
	if len(args) > 0 {
		if key, err = config.RunningKey(args[0], *process); err != nil {
			return lifecycle.Usage(err)
		}
	}
	if command == "set" {
		if err := config.Live(args[0], args[1]); err != nil {
			return lifecycle.Usage(err)
		}
	}
	cfg, err := f.Load(env.Environ)
	if err != nil {
		return err
	}
	if *url != "" {
		cfg.NATS.URL = *url
	}
	b, stop, err := view.Connect(ctx, cfg.Config, "config", env.Stderr)
	if err != nil {
		return err
	}
	defer stop()
	if command == "changes" {
		return list(ctx, b, env)
	}
	// Changes come one after another: a refused one is put back to what stood before it.
	turn := lease.New(b.Leases(), lease.Claim{Key: "config", Holder: fmt.Sprint("rtap config ", os.Getpid()), Service: "rtap"}, slog.New(slog.DiscardHandler), nil)
	return turn.Do(ctx, func(ctx context.Context, _ lease.Token) error {
		before, err := b.Settings(ctx)
		if err != nil {
			return err
		}
		c := change{bus: b, env: env, before: before, wait: *wait, who: followersOf(args[0], *process)}
		if command == "set" {
			return c.set(ctx, key, args[1])
		}
		return c.unset(ctx, key)
	})
}

func list(ctx context.Context, b *bus.Bus, env lifecycle.Env) error {
	all, err := b.Settings(ctx)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(env.Stdout, "%s=%s\n", key, all[key])
	}
	return nil
}

type change struct {
	bus    *bus.Bus
	env    lifecycle.Env
	before map[string]string
	wait   time.Duration
	who    followers
}

// followers are the processes that take a setting over, and the attributes of their
// status that say how far they are.
type followers struct {
	name            string // what they are called when none is there
	match           func(*rtapv1.ServiceStatus) bool
	revision, error string
	describe        func(*rtapv1.ServiceStatus) string
}

func followersOf(key, process string) followers {
	if key == config.LogLevel {
		f := followers{
			name: "process", revision: bus.AttributeLogRevision, error: bus.AttributeLogError,
			match: func(s *rtapv1.ServiceStatus) bool {
				return process == "" || s.GetService() == process || s.GetInstance() == process
			},
			describe: func(s *rtapv1.ServiceStatus) string {
				return s.GetService() + ", log level " + s.GetAttributes()[bus.AttributeLogLevel]
			},
		}
		if process != "" {
			f.name += " " + process
		}
		return f
	}
	return followers{
		name: "rtap-stt", revision: bus.AttributeSettingsRevision, error: bus.AttributeSettingsError,
		match: func(s *rtapv1.ServiceStatus) bool { return s.GetService() == "stt" },
		describe: func(s *rtapv1.ServiceStatus) string {
			a := s.GetAttributes()
			return fmt.Sprintf("model %s (%s, %s), %s threads", a["model"], a["engine"], a["dtype"], a["threads"])
		},
	}
}

// set changes a setting and waits until every process that follows it has taken it over.
// When one refuses, the setting is put back as it was for all.
func (c change) set(ctx context.Context, key, value string) error {
	revision, err := c.bus.SetSetting(ctx, key, value)
	if err != nil {
		return err
	}
	return c.undo(ctx, key, c.follow(ctx, revision))
}

// undo puts a setting back when err is a refusal.
func (c change) undo(ctx context.Context, key string, err error) error {
	var refusal *refusedError
	if !errors.As(err, &refusal) {
		return err
	}
	if old, ok := c.before[key]; ok {
		_, undo := c.bus.SetSetting(ctx, key, old)
		return errors.Join(err, undo)
	}
	_, undo := c.bus.UnsetSetting(ctx, key)
	return errors.Join(err, undo)
}

func (c change) unset(ctx context.Context, key string) error {
	if _, ok := c.before[key]; !ok {
		return fmt.Errorf("%s was not changed while running", key)
	}
	revision, err := c.bus.UnsetSetting(ctx, key)
	if err != nil {
		return err
	}
	return c.undo(ctx, key, c.follow(ctx, revision))
}

// refusedError says why a process keeps what it had.
type refusedError struct{ why []string }

func (e *refusedError) Error() string {
	return "refused, and put back as it was: " + strings.Join(e.why, "; ")
}

// follow waits until every follower is at a revision, and says what each has made of it.
func (c change) follow(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	began := time.Now()
	for {
		statuses, err := c.bus.Statuses(ctx, askFor)
		if err != nil && ctx.Err() == nil {
			return err
		}
		there := slices.DeleteFunc(statuses, func(s *rtapv1.ServiceStatus) bool { return !c.who.match(s) })
		waiting, refused := c.who.pending(there, revision)
		switch {
		case len(refused) > 0:
			return &refusedError{refused}
		case len(there) > 0 && len(waiting) == 0:
			for _, s := range there {
				fmt.Fprintf(c.env.Stdout, "%s: %s\n", s.GetInstance(), c.who.describe(s))
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("stored, but not taken over after %s by %s: look at its log", c.wait, strings.Join(waiting, ", "))
		case len(there) == 0 && time.Since(began) > absent:
			fmt.Fprintf(c.env.Stdout, "stored; no %s is running, the next one takes it over\n", c.who.name)
			return nil
		}
	}
}

// pending returns who has not come to a revision yet, and what those say that refuse it.
func (f followers) pending(there []*rtapv1.ServiceStatus, revision uint64) (waiting, refused []string) {
	for _, s := range there {
		at, err := strconv.ParseUint(s.GetAttributes()[f.revision], 10, 64)
		switch problem := s.GetAttributes()[f.error]; {
		case err != nil || at < revision:
			waiting = append(waiting, s.GetInstance())
		case problem != "":
			refused = append(refused, s.GetInstance()+": "+problem)
		}
	}
	return waiting, refused
}
