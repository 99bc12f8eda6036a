// Command rtap is the operator's command: it runs and watches the pipeline.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/rtap/rtap/cmd/rtap/internal/bench"
	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/cmd/rtap/internal/models"
	"github.com/rtap/rtap/cmd/rtap/internal/settings"
	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/cmd/rtap/internal/up"
	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/lifecycle"
)

var version = "dev"

const usage = `usage: rtap COMMAND [FLAGS]

  up        run the whole pipeline: --source URI, --stt N, --until-done, --json …
  tail      transcripts as they come: [--json] [--from-seq N] [--stream ID]
  tap       any subject, decoded: [SUBJECT]
  doctor    what is wrong on this machine, and what to do: [--json] [--data-dir DIR]
  devices   capture devices: [--json]
  config    show | validate | set KEY VALUE | unset KEY | changes
  models    list | pull NAME | verify | remove NAME | import DIR
  bench     engines: accuracy, time, memory and noise of every model here
  version

Each command explains its flags with -h.
`

func main() { os.Exit(lifecycle.Main("rtap", version, run)) }

func run(ctx context.Context, env lifecycle.Env) error {
	command := ""
	if len(env.Args) > 0 {
		command, env.Args = env.Args[0], env.Args[1:]
	}
	if command != "up" {
		env.Environ = operator(env.Environ)
	}
	switch command {
	case "up":
		return up.Run(ctx, env)
	case up.ServerCommand:
		return up.Serve(ctx, env)
	case "tail":
		return view.Tail(ctx, env)
	case "tap":
		return view.Tap(ctx, env)
	case "config":
		return settings.Run(ctx, env)
	case "doctor":
		return doctor.Run(ctx, env)
	case "models":
		return models.Run(ctx, env)
	case "bench":
		return bench.Run(ctx, env)
	case "devices":
		return devices(ctx, env)
	case "version", "--version":
		fmt.Fprintln(env.Stdout, "rtap", env.Version)
		return nil
	case "help", "-h", "--help":
		fmt.Fprint(env.Stdout, usage)
		return nil
	default:
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(fmt.Errorf("unknown command %q", command))
	}
}

// devices asks the capture program, which alone links the audio system.
func devices(ctx context.Context, env lifecycle.Env) error {
	path, err := sibling.Path("capture")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, append([]string{"devices"}, env.Args...)...)
	cmd.Stdout, cmd.Stderr = env.Stdout, env.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &lifecycle.ExitError{Code: exit.ExitCode(), Err: errors.New("rtap-capture failed")}
	}
	return err
}
