package manual_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/test/manual"
)

func document(t *testing.T) *manual.Document {
	t.Helper()
	d, err := manual.Read(filepath.Join(testkit.Root(t), "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var out []string
	for s := bufio.NewScanner(f); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

func TestEveryBlockSaysWhoRunsIt(t *testing.T) {
	counted := map[string]int{}
	for _, b := range document(t).Blocks {
		counted[b.Class]++
		if !slices.Contains([]string{"stack", "compose", "monitoring", "host"}, b.Class) {
			t.Errorf("line %d: class %q, want stack, compose, monitoring or host", b.Line, b.Class)
		}
	}
	if counted["stack"] < 10 || counted["compose"] < 10 {
		t.Errorf("the document's commands are not run: %v", counted)
	}
}

// TestSectionsStayInOrder: who knows the first manual finds each section where it was.
func TestSectionsStayInOrder(t *testing.T) {
	var have []string
	for _, h := range document(t).Headings {
		have = append(have, strings.ToLower(strings.TrimLeft(h, "# ")))
	}
	at := 0
	for _, section := range lines(t, "sections.txt") {
		i := slices.Index(have[at:], strings.ToLower(section))
		if i < 0 {
			t.Errorf("%q is missing, or not in its place", section)
			continue
		}
		at += i
	}
}

// TestEveryCommandOfTheFirstManualIsInTheTable, with what became of it.
func TestEveryCommandOfTheFirstManualIsInTheTable(t *testing.T) {
	rows := map[string]string{}
	for _, cells := range document(t).Rows {
		if len(cells) == 2 {
			rows[strings.Trim(cells[0], "`")] = cells[1]
		}
	}
	for _, command := range lines(t, "commands.txt") {
		if rows[command] == "" {
			t.Errorf("the table does not say what became of %s", command)
		}
	}
}

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testkit.Root(t), "bin", "rtap")
	_, err := os.Stat(path)
	testkit.RequireNative(t, err)
	return path
}

// TestCommandsExist asks rtap for the flags of each command that the document names.
func TestCommandsExist(t *testing.T) {
	rtap := program(t)
	known := map[string][]string{}
	flags := func(command ...string) (names []string, ok bool) {
		key := strings.Join(command, " ")
		if names, ok := known[key]; ok {
			return names, names != nil
		}
		out, _ := exec.CommandContext(t.Context(), rtap, append(slices.Clone(command), "--list-flags")...).CombinedOutput()
		var list []struct{ Name string }
		if json.Unmarshal(out, &list) == nil {
			names = []string{"help"}
			for _, f := range list {
				names = append(names, f.Name)
			}
		}
		known[key] = names
		return names, names != nil
	}
	calls := document(t).Calls()
	if len(calls) < 50 {
		t.Errorf("only %d calls of rtap were found", len(calls))
	}
	for _, words := range calls {
		words = trimmed(words)
		if len(words) == 0 || words[0] == "help" || words[0] == "COMMAND" {
			continue
		}
		var names []string
		ok := false
		if len(words) > 1 && !strings.HasPrefix(words[1], "-") {
			names, ok = flags(words[:2]...)
		}
		if !ok {
			names, ok = flags(words[0])
		}
		if !ok {
			page, err := exec.CommandContext(t.Context(), rtap, words[0], "--help").Output()
			if err != nil || !strings.HasPrefix(string(page), "NAME") {
				t.Errorf("there is no rtap %s", strings.Join(words, " "))
			}
			continue
		}
		for _, w := range words {
			name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
			if strings.HasPrefix(w, "-") && w != "-" && !slices.Contains(names, name) {
				t.Errorf("rtap %s: there is no %s", strings.Join(words, " "), w)
			}
		}
	}
}

// trimmed takes the shell's part off: quotation marks, redirections, and what stands for
// anything.
func trimmed(words []string) []string {
	var out []string
	for _, w := range words {
		if strings.HasPrefix(w, ">") || strings.HasPrefix(w, "<") || w == "…" {
			break
		}
		if w = strings.Trim(w, `'"`); w != "" {
			out = append(out, w)
		}
	}
	return out
}
