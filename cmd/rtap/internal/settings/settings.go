// Package settings is `rtap config`: what the configuration says, and changing what may
// change while RTAP runs.
package settings

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
)

const usage = `usage: rtap config COMMAND

  show                     every value and where it came from
  validate                 is the configuration right?
  set KEY VALUE            change a setting of the running processes; they say whether they took it
  unset KEY                take such a change back
  changes                  what was changed so

Flags: --config FILE, --set key=value, --nats URL; set and unset also --wait DURATION (default 2m).
These change while RTAP runs, worker by worker and without losing a final:
  stt.model stt.language stt.task stt.threads stt.beam_size stt.compute_dtype
This one in every process, or with --process SERVICE|INSTANCE in some:
  log.level
`

// Run is `rtap config`.
func Run(ctx context.Context, env lifecycle.Env) error {
	command := ""
	if len(env.Args) > 0 {
		command, env.Args = env.Args[0], env.Args[1:]
	}
	switch command {
	case "show", "validate":
		return file(env, command)
	case "set", "unset", "changes":
		return running(ctx, env, command)
	case "help", "-h", "--help":
		fmt.Fprint(env.Stdout, usage)
		return nil
	default:
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(fmt.Errorf("rtap config %q: want show, validate, set, unset or changes", command))
	}
}

// flags gives the set that all commands begin with.
func flags(name string, f *service.Flags, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("rtap config "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage) }
	f.Register(fs)
	return fs
}

// file shows or validates the effective configuration.
func file(env lifecycle.Env, command string) error {
	var f service.Flags
	if _, err := arguments.Parse(flags(command, &f, env.Stderr), env.Args); err != nil {
		return err
	}
	l, err := f.Load(env.Environ)
	if err != nil {
		return err
	}
	if command == "validate" {
		fmt.Fprintf(env.Stdout, "the configuration is valid (files: %s)\n", strings.Join(l.Files(), ", "))
		return nil
	}
	for _, s := range l.Settings() {
		fmt.Fprintf(env.Stdout, "%-36s %-28s # %s\n", s.Key, s.Value, s.Origin)
	}
	return nil
}
