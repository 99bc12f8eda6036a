// Package devices is `rtap devices`.
package devices

import (
	"context"
	"errors"
	"flag"
	"os/exec"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// Run asks the capture program, which alone links the audio system.
func Run(ctx context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap devices", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	asJSON := fs.Bool("json", false, "an array of {ID, Name, Default}")
	if err := arguments.None(fs, env.Args); err != nil {
		return err
	}
	path, err := sibling.Path("capture")
	if err != nil {
		return err
	}
	args := []string{"devices"}
	if *asJSON {
		args = append(args, "--json")
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = env.Stdout, env.Stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &lifecycle.ExitError{Code: exit.ExitCode(), Err: errors.New("rtap-capture failed")}
	}
	return err
}
