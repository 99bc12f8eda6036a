// Package command is the tree of rtap's commands: it finds the one that is meant, shows
// manual pages, and tells the shell what may come next.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/help"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/spf13/cobra"
)

// Command is one that rtap knows. What it says of itself is in package help.
type Command struct {
	Name string
	Run  lifecycle.App
	// Hidden: for RTAP's own use.
	Hidden bool
	// Values completes its arguments; may be nil.
	Values Values
	// Below are its own commands; may be nil.
	Below arguments.Subs
}

// Run does what env.Args ask for.
func Run(ctx context.Context, env lifecycle.Env, commands []Command) error {
	t := tree{env: env, commands: commands}
	return t.root().ExecuteContext(ctx)
}

type tree struct {
	env      lifecycle.Env
	commands []Command
}

// root builds cobra's tree. Flags are not cobra's to read: each command reads its own.
func (t *tree) root() *cobra.Command {
	root := &cobra.Command{
		Use: "rtap", SilenceErrors: true, SilenceUsage: true, DisableFlagParsing: true,
		Args: cobra.ArbitraryArgs, RunE: t.other,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetArgs(t.env.Args)
	root.SetOut(t.env.Stdout)
	root.SetErr(t.env.Stderr)
	all := append(slices.Clone(t.commands),
		Command{Name: "completion", Run: t.completion, Values: words("bash", "zsh", "fish")},
		Command{Name: "version", Run: version},
	)
	for _, c := range all {
		page, _ := help.Find(c.Name)
		root.AddCommand(t.command(c, page, nil))
	}
	page, _ := help.Find("help")
	root.SetHelpCommand(t.command(Command{Name: "help", Run: t.help, Values: t.names}, page, nil))
	return root
}

// command makes cobra's form of c, or of one of its own commands, which path names.
func (t *tree) command(c Command, page help.Page, path []string) *cobra.Command {
	name := c.Name
	if len(path) > 0 {
		name = path[len(path)-1]
	}
	out := &cobra.Command{
		Use: name, Short: page.Summary, Hidden: c.Hidden, DisableFlagParsing: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			env := t.env
			env.Args = slices.Concat(path, args)
			if asksForHelp(args) {
				env.Stderr = env.Stdout // what is asked for is no complaint
				if len(help.Below(page.Name)) > 0 {
					page.Print(env.Stdout, t.flags(cmd.Context(), c, path))
					return nil
				}
			}
			return c.Run(cmd.Context(), env)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return t.complete(cmd.Context(), c, path, args, typed)
		},
	}
	for _, below := range help.Below(page.Name) {
		sub := strings.TrimPrefix(below.Name, page.Name+" ")
		out.AddCommand(t.command(c, below, append(slices.Clone(path), sub)))
	}
	return out
}

// asksForHelp: before "--", after which nothing is a flag.
func asksForHelp(args []string) bool {
	for _, a := range args {
		switch a {
		case "--":
			return false
		case "-h", "-help", "--help":
			return true
		}
	}
	return len(args) == 1 && args[0] == "help"
}

// other is for everything that is none of the commands.
func (t *tree) other(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		help.Overview(t.env.Stderr)
		return lifecycle.Usage(errors.New("a command is wanted"))
	}
	switch args[0] {
	case "-h", "--help":
		help.Overview(t.env.Stdout)
		return nil
	case "--version":
		return version(cmd.Context(), t.env)
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return lifecycle.Usage(fmt.Errorf("unknown command %q: did you mean %s? (`rtap help` lists all)", args[0], strings.Join(near, ", ")))
	}
	help.Overview(t.env.Stderr)
	return lifecycle.Usage(fmt.Errorf("unknown command %q", args[0]))
}

func version(_ context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap version", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	if env.Args = slices.DeleteFunc(slices.Clone(env.Args), func(a string) bool { return a == "--version" }); len(env.Args) > 0 {
		if _, err := arguments.Parse(fs, env.Args); err != nil {
			return err
		}
	}
	fmt.Fprintln(env.Stdout, "rtap", env.Version)
	return nil
}

// help shows all commands or the page of one, with its flags.
func (t *tree) help(ctx context.Context, env lifecycle.Env) error {
	if len(env.Args) == 0 || asksForHelp(env.Args) {
		help.Overview(env.Stdout)
		return nil
	}
	words := env.Args
	if c := slices.IndexFunc(t.commands, func(c Command) bool { return c.Name == words[0] }); c >= 0 && len(words) == 2 &&
		t.commands[c].Values != nil && t.commands[c].Below == nil {
		words = words[:1] // what follows is an argument, such as cpu in `rtap help profile cpu`
	}
	name := strings.Join(words, " ")
	if _, ok := help.Find(name); !ok || words[0] == "help" {
		return lifecycle.Usage(fmt.Errorf("there is no command %q; `rtap help` lists all", name))
	}
	sub := tree{env: env, commands: t.commands}
	sub.env.Args = append(slices.Clone(words), "--help")
	return sub.root().ExecuteContext(ctx)
}

// bareBash makes the script work without the package bash-completion, which containers and
// small installations lack: words are then split at blanks alone.
const bareBash = `
if ! declare -F _get_comp_words_by_ref >/dev/null 2>&1; then
    __rtap_init_completion()
    {
        if declare -F _get_comp_words_by_ref >/dev/null 2>&1; then # loaded meanwhile
            _get_comp_words_by_ref "$@" cur prev words cword
            return
        fi
        local line=${COMP_LINE:0:COMP_POINT}
        read -ra words <<<"$line"
        if [[ $line == *[[:blank:]] ]]; then words+=(""); fi
        cword=$((${#words[@]} - 1))
        cur=${words[cword]} prev=${words[cword > 0 ? cword - 1 : 0]}
    }
fi
`

// completion writes the script that makes a shell ask rtap what may come next.
func (t *tree) completion(_ context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap completion", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	shell := strings.Join(args, " ")
	switch shell {
	case "bash":
		if err = t.root().GenBashCompletionV2(env.Stdout, true); err == nil {
			_, err = io.WriteString(env.Stdout, bareBash)
		}
	case "zsh":
		err = t.root().GenZshCompletion(env.Stdout)
	case "fish":
		err = t.root().GenFishCompletion(env.Stdout, true)
	default:
		return lifecycle.Usage(fmt.Errorf("rtap completion %q: want bash, zsh or fish", shell))
	}
	if err != nil {
		return fmt.Errorf("writing the script: %w", err)
	}
	return nil
}
