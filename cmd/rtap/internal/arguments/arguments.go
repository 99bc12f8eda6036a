// Package arguments reads command lines whose flags may stand before, between and after
// the other arguments, and answers what every command is asked alike: its manual page, and
// for the shell's completion its flags.
package arguments

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/rtap/rtap/cmd/rtap/internal/help"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// ListFlags as the only argument asks for the command's flags, as JSON on fs's output.
const ListFlags = "--list-flags"

// Parse sets fs's flags and returns the other arguments. fs is named after the command,
// "rtap config set", which gives -h its page. Errors carry the exit code: ExitOK after -h
// and ListFlags, which are answered here, else ExitUsage.
func Parse(fs *flag.FlagSet, args []string) (others []string, err error) {
	answered := &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: flag.ErrHelp}
	w := fs.Output()
	if len(args) == 1 && args[0] == ListFlags {
		if err := json.NewEncoder(w).Encode(help.Flags(fs)); err != nil {
			return nil, fmt.Errorf("listing flags: %w", err)
		}
		return nil, answered
	}
	page, found := help.Find(strings.TrimPrefix(fs.Name(), "rtap "))
	if found {
		// One line says what is wrong; the page is for those who ask for it.
		fs.SetOutput(io.Discard)
		defer fs.SetOutput(w)
		fs.Usage = func() {}
	}
	for {
		err := fs.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			if found {
				page.Print(w, help.Flags(fs))
			}
			return nil, answered
		case err != nil && found:
			return nil, lifecycle.Usage(fmt.Errorf("%w (see `%s --help`)", err, fs.Name()))
		case err != nil:
			return nil, lifecycle.Usage(err)
		}
		if fs.NArg() == 0 {
			return others, nil
		}
		others, args = append(others, fs.Arg(0)), fs.Args()[1:]
	}
}

// None is Parse for a command that takes only flags.
func None(fs *flag.FlagSet, args []string) error {
	others, err := Parse(fs, args)
	if err == nil && len(others) > 0 {
		err = lifecycle.Usage(fmt.Errorf("bad arguments %q: %s takes only flags", others, fs.Name()))
	}
	return err
}
