// Package models is `rtap models`: what an operator does with the models of this machine.
package models

import (
	"context"
	"flag"
	"fmt"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
)

// command is one call of `rtap models`.
type command struct {
	env       lifecycle.Env
	catalogue *models.Catalogue
}

// Commands are those of `rtap models`.
var Commands = arguments.Subs{
	{Name: "list", Run: catalogued((*command).list)},
	{Name: "pull", Run: catalogued((*command).pull)},
	{Name: "verify", Run: catalogued((*command).verify)},
	{Name: "remove", Run: catalogued((*command).remove)},
	{Name: "import", Run: catalogued((*command).importFolder)},
}

// Run is `rtap models`.
func Run(ctx context.Context, env lifecycle.Env) error {
	return Commands.Run(ctx, env, "rtap models")
}

// catalogued gives a command the catalogue.
func catalogued(run func(*command, context.Context) error) lifecycle.App {
	return func(ctx context.Context, env lifecycle.Env) error {
		c, err := models.Load()
		if err != nil {
			return lifecycle.Usage(err)
		}
		return run(&command{env: env, catalogue: c}, ctx)
	}
}

// parse reads flags that may stand before, between and after the arguments.
func (c *command) parse(name string, register func(*flag.FlagSet)) (args []string, err error) {
	fs := flag.NewFlagSet("rtap models "+name, flag.ContinueOnError)
	fs.SetOutput(c.env.Stderr)
	if register != nil {
		register(fs)
	}
	return arguments.Parse(fs, c.env.Args)
}

// one returns the entry that the only argument names.
func (c *command) one(name string, args []string) (*models.Entry, error) {
	if len(args) != 1 {
		return nil, lifecycle.Usage(fmt.Errorf("rtap models %s: want one model's name, not %q", name, args))
	}
	e, err := c.catalogue.Find(args[0])
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	return e, nil
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+1<<20-1)>>20) }

// Values completes the names of models.
func Values(path, args []string) []string {
	catalogue, err := models.Load()
	if err != nil || len(args) > 0 || len(path) == 0 || path[0] == "list" || path[0] == "import" {
		return nil
	}
	var out []string
	for _, e := range catalogue.Entries {
		out = append(out, e.Name)
	}
	return out
}
