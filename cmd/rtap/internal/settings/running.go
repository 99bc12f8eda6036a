package settings

import (
	"context"
	"errors"
	"fmt"
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
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(fmt.Errorf("rtap config %s: got %d arguments, want %d", command, len(args), want))
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
	return b.Exclusive(ctx, "config", fmt.Sprint("rtap config ", os.Getpid()), func(ctx context.Context) error {
		before, err := b.Settings(ctx)
		if err != nil {
			return err
		}
		c := change{bus: b, env: env, before: before, wait: *wait}
		if command == "set" {
			return c.set(ctx, args[0], args[1])
		}
		return c.unset(ctx, args[0])
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
}

// set changes a setting and waits until every recogniser has taken it over. When one
// refuses, the setting is put back as it was for all.
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

// follow waits until every stt process is at a revision, and says what each has made of it.
func (c change) follow(ctx context.Context, revision uint64) error {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()
	began := time.Now()
	for {
		statuses, err := c.bus.Statuses(ctx, askFor)
		if err != nil && ctx.Err() == nil {
			return err
		}
		workers := slices.DeleteFunc(statuses, func(s *rtapv1.ServiceStatus) bool { return s.GetService() != "stt" })
		waiting, refused := pending(workers, revision)
		switch {
		case len(refused) > 0:
			return &refusedError{refused}
		case len(workers) > 0 && len(waiting) == 0:
			for _, s := range workers {
				a := s.GetAttributes()
				fmt.Fprintf(c.env.Stdout, "%s: model %s (%s, %s), %s threads\n", s.GetInstance(), a["model"], a["engine"], a["dtype"], a["threads"])
			}
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("stored, but not taken over after %s by %s: look at its log", c.wait, strings.Join(waiting, ", "))
		case len(workers) == 0 && time.Since(began) > absent:
			fmt.Fprintln(c.env.Stdout, "stored; no rtap-stt is running, the next one takes it over")
			return nil
		}
	}
}

// pending returns who has not come to a revision yet, and what those say that refuse it.
func pending(workers []*rtapv1.ServiceStatus, revision uint64) (waiting, refused []string) {
	for _, s := range workers {
		at, err := strconv.ParseUint(s.GetAttributes()[bus.AttributeSettingsRevision], 10, 64)
		switch problem := s.GetAttributes()[bus.AttributeSettingsError]; {
		case err != nil || at < revision:
			waiting = append(waiting, s.GetInstance())
		case problem != "":
			refused = append(refused, s.GetInstance()+": "+problem)
		}
	}
	return waiting, refused
}
