// Package help holds the manual pages of rtap's commands and prints them. What flags there
// are is not written here: each page lists those of the command itself.
package help

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Page is the manual page of one command.
type Page struct {
	// Name is without "rtap": "up", "config set".
	Name string
	// Group is where the overview lists it; empty for commands below another one.
	Group   Group
	Summary string
	// Synopsis are the forms of the command line, without "rtap NAME".
	Synopsis []string
	// About is the description, in lines as they are to be shown.
	About    string
	Examples []Example
	// Exit are the codes whose meaning is other than usual.
	Exit []Exit
}

// Group orders the overview.
type Group string

// Groups of commands.
const (
	Running   Group = "run and watch"
	Looking   Group = "look into it"
	Changing  Group = "settings and models"
	Keeping   Group = "keep and recover"
	Measuring Group = "measure"
	Others    Group = "others"
)

// Groups are in the order of the overview.
var Groups = []Group{Running, Looking, Changing, Keeping, Measuring, Others}

// Example is a command line that works, and what it does.
type Example struct{ Line, About string }

// Exit is an exit code and its meaning.
type Exit struct {
	Code  int
	Means string
}

// usual are the exit codes of every command.
var usual = []Exit{
	{0, "it was done; for what runs until it is stopped, it was stopped"},
	{1, "it failed; the message says why"},
	{2, "wrong arguments or configuration, a missing device or file: trying again without a change cannot help"},
}

// Pages lists all of them, in the order of the overview.
func Pages() []Page { return slices.Concat(running, looking, changing, keeping, measuring, others) }

// Find returns the page of a command.
func Find(name string) (Page, bool) {
	for _, p := range Pages() {
		if p.Name == name {
			return p, true
		}
	}
	return Page{}, false
}

// Below lists the pages of a command's own commands.
func Below(name string) []Page {
	var out []Page
	for _, p := range Pages() {
		if rest, ok := strings.CutPrefix(p.Name, name+" "); ok && !strings.Contains(rest, " ") {
			out = append(out, p)
		}
	}
	return out
}

// Codes are the page's exit codes: the usual ones, with what is special about this command.
func (p Page) Codes() []Exit {
	out := slices.Clone(usual)
	for _, special := range p.Exit {
		if i := slices.IndexFunc(out, func(e Exit) bool { return e.Code == special.Code }); i >= 0 {
			out[i] = special
		} else {
			out = append(out, special)
		}
	}
	return out
}

// Print writes the page as a manual page, with the command's flags.
func (p Page) Print(w io.Writer, flags []Flag) {
	section := func(name string) { fmt.Fprintf(w, "\n%s\n", name) }
	fmt.Fprintf(w, "NAME\n  rtap %s - %s\n", p.Name, p.Summary)
	section("SYNOPSIS")
	for _, s := range p.Synopsis {
		fmt.Fprintln(w, strings.TrimRight("  rtap "+p.Name+" "+s, " "))
	}
	if p.About != "" {
		section("DESCRIPTION")
		for line := range strings.Lines(strings.Trim(p.About, "\n")) {
			fmt.Fprintln(w, strings.TrimRight("  "+strings.TrimRight(line, "\n"), " "))
		}
	}
	if below := Below(p.Name); len(below) > 0 {
		section("COMMANDS")
		for _, b := range below {
			fmt.Fprintf(w, "  %-12s %s\n", strings.TrimPrefix(b.Name, p.Name+" "), b.Summary)
		}
		fmt.Fprintf(w, "\n  Each explains itself: rtap %s COMMAND --help\n", p.Name)
	}
	if len(flags) > 0 {
		section("FLAGS")
		for _, f := range flags {
			f.print(w)
		}
	}
	section("EXAMPLES")
	for _, e := range p.Examples {
		fmt.Fprintf(w, "  %s\n      %s\n", e.Line, e.About)
	}
	section("EXIT CODES")
	for _, e := range p.Codes() {
		fmt.Fprintf(w, "  %d  %s\n", e.Code, e.Means)
	}
}

// Overview writes what `rtap help` shows: all commands in their groups.
func Overview(w io.Writer) {
	fmt.Fprintln(w, "usage: rtap COMMAND [FLAGS]")
	for _, g := range Groups {
		fmt.Fprintf(w, "\n%s\n", g)
		for _, p := range Pages() {
			if p.Group == g {
				fmt.Fprintf(w, "  %-12s %s\n", p.Name, p.Summary)
			}
		}
	}
	fmt.Fprintln(w, "\nrtap COMMAND --help is the command's manual page; `rtap completion bash` makes the shell complete them.")
}
