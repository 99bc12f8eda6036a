// Package healthcheck is `rtap healthcheck`: one question to the process beside it, for
// container engines and probes.
package healthcheck

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/command"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
)

// server is the name under which the NATS server is asked for.
const server = "nats"

// Names are what may be asked for.
func Names(_, args []string) []string {
	return slices.DeleteFunc(append(slices.Clone(command.Services), server), func(s string) bool { return slices.Contains(args, s) })
}

// Run is `rtap healthcheck [NAME]…`.
func Run(ctx context.Context, env lifecycle.Env) error {
	var f service.Flags
	fs := flag.NewFlagSet("rtap healthcheck", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	f.Register(fs)
	live := fs.Bool("live", false, "be content with a process that answers, ready or not")
	timeout := fs.Duration("timeout", 2*time.Second, "how long an answer may take")
	names, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	for _, name := range names {
		if known := Names(nil, nil); !slices.Contains(known, name) {
			return lifecycle.Usage(fmt.Errorf("rtap healthcheck %q: want %s", name, strings.Join(known, ", ")))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	c := check{env: env, live: *live, here: control.Find(ctx, nil, "", *timeout)}
	var errs []error
	if slices.Contains(names, server) {
		cfg, err := f.Load(env.Environ)
		if err != nil {
			return err
		}
		errs = append(errs, c.server(cfg.NATS))
		names = slices.DeleteFunc(names, func(s string) bool { return s == server })
		if len(names) == 0 {
			return errors.Join(errs...)
		}
	}
	return errors.Join(append(errs, c.processes(names))...)
}

type check struct {
	env  lifecycle.Env
	live bool
	here []control.Target
}

// server asks for the server's version, which it gives to those that it lets in.
func (c check) server(cfg config.NATS) error {
	conn, err := bus.Dial(cfg, "rtap-healthcheck")
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(c.env.Stdout, "nats %s\n", conn.ConnectedServerVersion())
	return nil
}

// processes judges those of the services named, or all that are here.
func (c check) processes(names []string) error {
	if len(c.here) == 0 {
		return fmt.Errorf("no process of RTAP answers here: it has not started yet, or it hangs, or another user runs it (looked in %s)", control.Dir())
	}
	var bad []error
	seen := map[string]bool{}
	for _, t := range c.here {
		if len(names) > 0 && !slices.Contains(names, t.GetService()) {
			continue
		}
		seen[t.GetService()] = true
		if !t.GetReady() && !c.live {
			bad = append(bad, fmt.Errorf("%s is not ready: %s", t.GetService(), strings.Join(t.GetReasons(), "; ")))
			continue
		}
		fmt.Fprintf(c.env.Stdout, "%s %s\n", t.GetService(), t.GetState())
	}
	for _, name := range names {
		if !seen[name] {
			bad = append(bad, fmt.Errorf("no %s answers here", name))
		}
	}
	return errors.Join(bad...)
}
