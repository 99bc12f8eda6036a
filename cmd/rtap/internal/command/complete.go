package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/help"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/spf13/cobra"
)

// Values says what the next argument may be: path names the command below, args are those
// that stand already. Each is a word, or a word, a tab and an explanation.
type Values func(path, args []string) []string

// words are the same wherever the argument stands first.
func words(list ...string) Values {
	return func(_, args []string) []string {
		if len(args) > 0 {
			return nil
		}
		return list
	}
}

// Services are the values of a flag or argument that names one.
var Services = []string{"capture", "vad", "stt", "egress"}

// named completes flags by what their values are called.
var named = map[string][]string{"service": Services, "URI": {"mic", "mock", "listen", "file:"}}

// names lists the commands for `rtap help`.
func (t *tree) names(_, args []string) []string {
	var out []string
	prefix := ""
	if len(args) > 0 {
		prefix = strings.Join(args, " ") + " "
	}
	for _, p := range help.Pages() {
		if rest, ok := strings.CutPrefix(p.Name, prefix); ok && !strings.Contains(rest, " ") {
			out = append(out, rest+"\t"+p.Summary)
		}
	}
	return out
}

// complete gives what may stand in place of typed.
func (t *tree) complete(ctx context.Context, c Command, path, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	flags := t.flags(ctx, c, path)
	find := func(arg string) *help.Flag {
		name := strings.TrimLeft(arg, "-")
		if i := slices.IndexFunc(flags, func(f help.Flag) bool { return f.Name == name }); i >= 0 && name != arg {
			return &flags[i]
		}
		return nil
	}
	if name, _, ok := strings.Cut(typed, "="); ok && strings.HasPrefix(typed, "-") && find(name) != nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	if len(args) > 0 {
		if f := find(args[len(args)-1]); f != nil && f.Value != "" {
			return value(*f)
		}
	}
	if strings.HasPrefix(typed, "-") {
		var out []cobra.Completion
		for _, f := range flags {
			out = append(out, "--"+f.Name+"\t"+f.Usage)
		}
		return append(out, "--help\tthe manual page"), cobra.ShellCompDirectiveNoFileComp
	}
	if c.Values == nil {
		return nil, cobra.ShellCompDirectiveDefault
	}
	// What stands between is either an argument or a flag, perhaps with its value.
	var plain []string
	for i := 0; i < len(args); i++ {
		f := find(args[i])
		switch {
		case f != nil && f.Value != "":
			i++
		case !strings.HasPrefix(args[i], "-"):
			plain = append(plain, args[i])
		}
	}
	if out := c.Values(path, plain); out != nil {
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

func value(f help.Flag) ([]cobra.Completion, cobra.ShellCompDirective) {
	switch {
	case f.Value == "folder":
		return nil, cobra.ShellCompDirectiveFilterDirs
	case named[f.Value] != nil:
		return named[f.Value], cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

// flags asks the command itself, which alone knows.
func (t *tree) flags(ctx context.Context, c Command, path []string) []help.Flag {
	var out bytes.Buffer
	env := lifecycle.Env{
		Service: t.env.Service, Version: t.env.Version, Environ: t.env.Environ,
		Args: append(slices.Clone(path), arguments.ListFlags), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &out,
	}
	if ctx == nil {
		ctx = context.Background()
	}
	// A command without flags of its own refuses; then there is nothing to complete.
	if lifecycle.Code(c.Run(ctx, env)) != lifecycle.ExitOK {
		return nil
	}
	var flags []help.Flag
	if json.Unmarshal(out.Bytes(), &flags) != nil {
		return nil
	}
	return flags
}
