// Package arguments reads command lines whose flags may stand before, between and after
// the other arguments.
package arguments

import (
	"errors"
	"flag"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// Parse sets fs's flags and returns the other arguments. Its errors carry the exit code:
// ExitOK after -h, which fs has answered, else ExitUsage.
func Parse(fs *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: err}
			}
			return nil, lifecycle.Usage(err)
		}
		if fs.NArg() == 0 {
			return others, nil
		}
		others, args = append(others, fs.Arg(0)), fs.Args()[1:]
	}
}
