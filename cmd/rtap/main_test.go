package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/command"
	"github.com/rtap/rtap/cmd/rtap/internal/help"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
)

// rtap runs a command line in this process.
func rtap(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	err := command.Run(t.Context(), lifecycle.Env{
		Service: "rtap", Version: "v1.2.3", Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
	}, commands)
	if err != nil {
		errs.WriteString(err.Error())
	}
	return lifecycle.Code(err), out.String(), errs.String()
}

// flags asks a command for its flags, as the shell's completion does.
func flags(t *testing.T, page help.Page) []string {
	t.Helper()
	code, out, errs := rtap(t, append(strings.Fields(page.Name), arguments.ListFlags)...)
	var list []help.Flag
	if code != 0 || json.Unmarshal([]byte(errs[:max(0, strings.LastIndex(errs, "]")+1)]), &list) != nil && !strings.HasPrefix(errs, "null") {
		t.Errorf("rtap %s does not list its flags: code %d, %s%s", page.Name, code, out, errs)
	}
	var names []string
	for _, f := range list {
		names = append(names, f.Name)
	}
	return names
}

func TestEveryCommandHasAPage(t *testing.T) {
	for _, c := range commands {
		page, ok := help.Find(c.Name)
		switch {
		case c.Hidden:
		case !ok || page.Group == "" || page.Summary == "" || len(page.Synopsis) == 0 || len(page.Examples) == 0:
			t.Errorf("rtap %s has no whole page: %+v", c.Name, page)
		case !strings.Contains(overview(t), "\n  "+c.Name+" "):
			t.Errorf("rtap %s is not in the overview", c.Name)
		}
	}
}

// TestEveryCommandBelowHasAPage, in the order of the list, and is completed with its flags.
func TestEveryCommandBelowHasAPage(t *testing.T) {
	below := 0
	for _, c := range commands {
		var pages []string
		for _, p := range help.Below(c.Name) {
			pages = append(pages, strings.TrimPrefix(p.Name, c.Name+" "))
		}
		if !slices.Equal(pages, c.Below.Names()) {
			t.Errorf("rtap %s: pages for %v, commands %v", c.Name, pages, c.Below.Names())
		}
		_, offered, _ := rtap(t, "__complete", c.Name, "")
		for _, sub := range c.Below {
			below++
			page, _ := help.Find(c.Name + " " + sub.Name)
			if page.Summary == "" || len(page.Synopsis) == 0 || len(page.Examples) == 0 || !strings.Contains("\n"+offered, "\n"+sub.Name+"\t") {
				t.Errorf("rtap %s %s has no whole page, or is not completed: %+v", c.Name, sub.Name, page)
			}
			_, out, _ := rtap(t, "__complete", c.Name, sub.Name, "--")
			_, shown, _ := rtap(t, "help", c.Name, sub.Name)
			for _, name := range flags(t, page) {
				if !strings.Contains("\n"+out, "\n--"+name+"\t") || !strings.Contains(shown, "\n  --"+name) {
					t.Errorf("rtap %s %s: --%s is not completed, or not on its page", c.Name, sub.Name, name)
				}
			}
		}
	}
	if below < 15 {
		t.Errorf("only %d commands below others were found", below)
	}
}

func overview(t *testing.T) string {
	t.Helper()
	_, out, _ := rtap(t, "help")
	return out
}

// TestPagesTellTheTruth: every page is that of a command, every flag in an example or a
// synopsis is one that the command has.
func TestPagesTellTheTruth(t *testing.T) {
	for _, page := range help.Pages() {
		t.Run(page.Name, func(t *testing.T) {
			if page.Name == "help" {
				return // it is the overview
			}
			code, out, _ := rtap(t, append(strings.Fields(page.Name), "--help")...)
			if code != 0 || !strings.HasPrefix(out, "NAME\n  rtap "+page.Name+" - ") || !strings.Contains(out, "\nEXIT CODES\n  0  ") {
				t.Errorf("--help: code %d: %s", code, out)
			}
			if len(help.Below(page.Name)) > 0 {
				return
			}
			have := append(flags(t, page), "help")
			lines := page.Synopsis
			for _, e := range page.Examples {
				lines = append(lines, e.Line)
			}
			for _, line := range lines {
				if i := strings.Index(line, "rtap "+page.Name); i >= 0 {
					line = line[i:] // what starts it, such as docker run, has flags of its own
				}
				for word := range strings.FieldsSeq(line) {
					word = strings.Trim(word, "[]…|(),'\"")
					name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
					if strings.HasPrefix(word, "-") && name != "" && !slices.Contains(have, name) {
						t.Errorf("%q: there is no %s, only %v", line, word, have)
					}
				}
			}
			for _, e := range page.Examples {
				if !strings.Contains(e.Line, "rtap "+page.Name) || e.About == "" {
					t.Errorf("%q is no example of rtap %s", e.Line, page.Name)
				}
			}
		})
	}
}

func TestWrongCommandLines(t *testing.T) {
	for line, want := range map[string]string{
		"":                                     "a command is wanted",
		"sing":                                 `unknown command "sing"`,
		"donctor":                              "did you mean doctor?",
		"config":                               "want show, validate, set, unset or changes",
		"config sing":                          "want show, validate, set, unset or changes",
		"config set":                           "got 0 arguments, want 2",
		"dead":                                 "want list, show or retry",
		"dead show":                            "want the number of one dead letter",
		"dead show three":                      "is no number of a dead letter",
		"dead retry":                           "want numbers of dead letters",
		"dead retry 3 --all":                   "want numbers of dead letters",
		"doctor loudly":                        "rtap doctor takes only flags",
		"doctor --loud":                        "not defined: -loud (see `rtap doctor --help`)",
		"up --stt none":                        "invalid value",
		"up extra":                             "bad arguments [extra]",
		"models":                               "want list, pull, verify, remove or import",
		"completion tcsh":                      "want bash, zsh or fish",
		"help profile cpu heap":                `there is no command`,
		"bench sing":                           "want latency, stress, capacity, endpointing, utterances, noise or engines",
		"help sing":                            `there is no command "sing"`,
		"config set vad.tail_ms 1":             "cannot change while RTAP runs",
		"config set stt.model x --process stt": "only log.level can change for one",
	} {
		code, _, errs := rtap(t, strings.Fields(line)...)
		if code != lifecycle.ExitUsage || !strings.Contains(errs, want) {
			t.Errorf("rtap %s: code %d: %s", line, code, errs)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, line := range []string{"version", "--version"} {
		if code, out, errs := rtap(t, line); code != 0 || out != "rtap v1.2.3\n" {
			t.Errorf("rtap %s: code %d: %s%s", line, code, out, errs)
		}
	}
}

// TestHelpOfAnArgument: what stands behind such a command has no page of its own.
func TestHelpOfAnArgument(t *testing.T) {
	if code, out, errs := rtap(t, "help", "profile", "cpu"); code != 0 || !strings.HasPrefix(out, "NAME\n  rtap profile - ") {
		t.Errorf("code %d: %s%s", code, out, errs)
	}
}

// TestShellsComplete asks as the scripts of all three shells do.
func TestShellsComplete(t *testing.T) {
	for line, want := range map[string][]string{
		"|":                                      {"up\t", "config\t", "help\t"},
		"config |":                               {"set\t", "changes\t"},
		"config set |":                           {"stt.model", "log.level"},
		"config set log.level |":                 {"DEBUG", "ERROR"},
		"config set --wait 3s stt.task |":        {"translate"},
		"config set log.level DEBUG --process |": {"stt", "egress"},
		"up --s|":                                {"--source\t", "--stt\t"},
		"help config |":                          {"unset\t"},
		"bench |":                                {"latency\t", "engines\t"},
		"bench --st|":                            {"--streams\t", "--stt\t"},
		"bench stress --|":                       {"--factors\t", "--burst\t", "--recovery\t", "--capacity\t"},
		"bench utterances --|":                   {"--out\t"},
		"help bench |":                           {"stress\t"},
		"completion |":                           {"fish"},
		"models verify |":                        {"whisper-base"},
	} {
		typed := strings.Split(strings.TrimSuffix(line, "|"), " ")
		_, out, _ := rtap(t, append([]string{"__complete"}, typed...)...)
		for _, w := range want {
			if !strings.Contains("\n"+out, "\n"+w) {
				t.Errorf("rtap %s: no %q in:\n%s", line, w, out)
			}
		}
		if strings.Contains(out, "nats-server") || strings.Contains(out, "no-help") {
			t.Errorf("rtap %s shows what is hidden:\n%s", line, out)
		}
	}
}

func TestScriptsOfTheShells(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, errs := rtap(t, "completion", shell)
		if code != 0 || !strings.Contains(out, "__complete") {
			t.Errorf("%s: code %d, %s", shell, code, errs)
		}
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			testkit.RequireNative(t, err)
			check := exec.CommandContext(t.Context(), path, "-n", "/dev/stdin")
			check.Stdin = strings.NewReader(out)
			if said, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s does not read its script: %v: %s", shell, err, said)
			}
		})
	}
}

// TestBashCompletes presses the tab key in a real bash.
func TestBashCompletes(t *testing.T) {
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "rtap"), ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building: %v: %s", err, out)
	}
	for name, loaded := range map[string]string{
		"with bash-completion": `_get_comp_words_by_ref() { cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=("${COMP_WORDS[@]}") cword=$COMP_CWORD; }` + "\n",
		"without":              "",
	} {
		cmd := exec.CommandContext(t.Context(), "bash", "--norc", "-c", loaded+`source <(rtap completion bash)
COMP_WORDS=(rtap config set log.l); COMP_CWORD=3; COMP_LINE="rtap config set log.l"; COMP_POINT=${#COMP_LINE}; COMP_TYPE=9
__start_rtap; printf '%s\n' "${COMPREPLY[@]}"`)
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin", "HOME=" + dir}
		out, err := cmd.Output() // bash complains that nobody pressed a key
		if err != nil || strings.TrimSpace(string(out)) != "log.level" {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
}
