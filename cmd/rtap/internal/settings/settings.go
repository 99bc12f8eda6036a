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
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/service"
)

// Commands are those of `rtap config`.
var Commands = arguments.Subs{
	{Name: "show", Run: func(_ context.Context, env lifecycle.Env) error { return file(env, "show") }},
	{Name: "validate", Run: func(_ context.Context, env lifecycle.Env) error { return file(env, "validate") }},
	{Name: "set", Run: func(ctx context.Context, env lifecycle.Env) error { return running(ctx, env, "set") }},
	{Name: "unset", Run: func(ctx context.Context, env lifecycle.Env) error { return running(ctx, env, "unset") }},
	{Name: "changes", Run: func(ctx context.Context, env lifecycle.Env) error { return running(ctx, env, "changes") }},
}

// Run is `rtap config`.
func Run(ctx context.Context, env lifecycle.Env) error { return Commands.Run(ctx, env, "rtap config") }

// flags gives the set that all commands begin with.
func flags(name string, f *service.Flags, stderr io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("rtap config "+name, flag.ContinueOnError)
	fs.SetOutput(stderr)
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
		files := "files: " + strings.Join(l.Files(), ", ")
		if len(l.Files()) == 0 {
			files = "no file was found: all are the built-in defaults"
		}
		fmt.Fprintf(env.Stdout, "the configuration is valid (%s)\n", files)
		return nil
	}
	for _, s := range l.Settings() {
		fmt.Fprintf(env.Stdout, "%-36s %-28s # %s\n", s.Key, s.Value, s.Origin)
	}
	return nil
}

// Values completes keys that can change while RTAP runs, and their values where there is
// a list.
func Values(path, args []string) []string {
	switch command := strings.Join(path, " "); {
	case (command == "set" || command == "unset") && len(args) == 0:
		return config.LiveKeys()
	case command == "set" && len(args) == 1:
		return values(args[0])
	}
	return nil
}

func values(key string) []string {
	if key == "stt.model" {
		catalogue, err := models.Load()
		if err != nil {
			return nil
		}
		out := []string{models.Auto}
		for _, e := range catalogue.Entries {
			out = append(out, e.Name)
		}
		return out
	}
	return config.Allowed(key)
}
