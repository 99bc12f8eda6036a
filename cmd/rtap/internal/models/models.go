// Package models is `rtap models`: what an operator does with model files.
package models

import (
	"errors"
	"flag"
	"fmt"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
)

const usage = "usage: rtap models verify FILE…   check Whisper models in whisper.cpp's format\n"

// Run is `rtap models`.
func Run(env lifecycle.Env) error {
	if len(env.Args) == 0 || env.Args[0] != "verify" {
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(fmt.Errorf("rtap models %q: want verify", env.Args))
	}
	fs := flag.NewFlagSet("rtap models verify", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	fs.Usage = func() { fmt.Fprint(env.Stderr, usage) }
	if err := fs.Parse(env.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return &lifecycle.ExitError{Code: lifecycle.ExitOK, Err: err}
		}
		return lifecycle.Usage(err)
	}
	if fs.NArg() == 0 {
		fmt.Fprint(env.Stderr, usage)
		return lifecycle.Usage(errors.New("rtap models verify: no file named"))
	}
	var bad []error
	for _, path := range fs.Args() {
		m, err := ggml.Check(path)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		languages := "English only"
		if n := m.Header.Languages(); n > 1 {
			languages = fmt.Sprintf("%d languages", n)
		}
		fmt.Fprintf(env.Stdout, "%s: whole: %d MB, %s, %s, %d + %d layers of %d, %d tensors\n",
			path, m.Size>>20, m.Header.Dtype(), languages, m.Header.AudioLayers, m.Header.TextLayers, m.Header.AudioState, m.Tensors)
	}
	return errors.Join(bad...)
}
