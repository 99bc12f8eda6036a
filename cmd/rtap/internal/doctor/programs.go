package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/native"
)

// Program is one that stands beside rtap.
type Program struct {
	Name, Version string
	Err           error // why it does not start
}

// Programs are the facts about all of them.
type Programs struct {
	Dir, Own string // where they are looked for, and rtap's own version
	// Apart: the bus is on another host, so each process may be on a machine of its own.
	Apart    bool
	Programs []Program
}

func (s *Site) programs(ctx context.Context) []Finding {
	p := Programs{Dir: s.Programs, Own: s.Version, Apart: !local(s.Config.NATS.URL)}
	for _, name := range []string{"rtap-capture", "rtap-vad", "rtap-stt", "rtap-egress"} {
		out, err := s.ask(ctx, name, "--version")
		p.Programs = append(p.Programs, Program{name, strings.TrimSpace(strings.TrimPrefix(string(out), name)), err})
	}
	return p.Findings()
}

// Findings judges the facts.
func (p Programs) Findings() []Finding {
	const name = "programs"
	var whole, absent, others []string
	var out []Finding
	for _, x := range p.Programs {
		switch {
		case errors.Is(x.Err, fs.ErrNotExist):
			absent = append(absent, x.Name)
		case x.Err != nil:
			advice := "build it for this machine: `make build`"
			if strings.Contains(x.Err.Error(), "shared librar") {
				advice = "install the library that the message names; `make deps` brings all of them"
			}
			out = append(out, Finding{name, Fail, fmt.Sprintf("%s does not start: %v", x.Name, x.Err), advice})
		default:
			whole = append(whole, x.Name)
			if x.Version != p.Own && x.Version != "dev" && p.Own != "dev" {
				others = append(others, x.Name+" is "+x.Version)
			}
		}
	}
	if len(absent) > 0 {
		f := Finding{name, Fail, fmt.Sprintf("%s not in %s", list(absent, "is", "are"), p.Dir), "build them with `make build`, or put all five programs into one folder"}
		if p.Apart {
			f.Status, f.Advice = Warn, "`rtap up` needs all of them; where each process has a machine of its own, all is well"
		}
		out = append(out, f)
	}
	if len(others) > 0 {
		out = append(out, Finding{name, Warn, fmt.Sprintf("%s, rtap is %s", strings.Join(others, ", "), p.Own), "build all of them from the same source: `make build`"})
	}
	if len(out) == 0 {
		out = append(out, Finding{name, OK, strings.Join(whole, ", ") + " start, in " + p.Dir, ""})
	}
	return out
}

// list joins names and adds the form of a verb that fits their number.
func list(names []string, one, many string) string {
	if len(names) == 1 {
		return names[0] + " " + one
	}
	return strings.Join(names, ", ") + " " + many
}

// ask runs one of RTAP's programs and returns what it prints; the error holds its message.
func (s *Site) ask(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, program), args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = s.Environ, &stdout, &stderr, 200*time.Millisecond
	err := cmd.Run()
	if err == nil {
		return stdout.Bytes(), nil
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	switch said := lines[len(lines)-1]; {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("asking %s: it does not answer: %w", program, ctx.Err())
	case said != "":
		return nil, fmt.Errorf("%s (%w)", said, err)
	default:
		return nil, fmt.Errorf("running %s: %w", program, err)
	}
}

// Part is one pinned file.
type Part struct {
	Name string
	Err  error
}

// NativeParts are the facts about the pinned files, or why they cannot be told.
type NativeParts struct {
	Root  string
	Err   error
	Parts []Part
}

func (s *Site) nativeParts(ctx context.Context) []Finding {
	var n NativeParts
	n.Root, n.Err = native.Root()
	var m *native.Manifest
	if n.Err == nil {
		m, n.Err = native.ReadManifest(n.Root)
	}
	if n.Err != nil {
		return n.Findings()
	}
	for _, a := range m.Archives {
		for _, f := range a.Files {
			if f.Tree || !f.Wanted() || ctx.Err() != nil {
				continue // a folder of source is needed to build, not to run
			}
			_, err := native.Locate(f.Name)
			n.Parts = append(n.Parts, Part{f.Name, err})
		}
	}
	return n.Findings()
}

// Findings judges the facts. What only some configurations need is a warning here; the
// check of the model fails where this one needs it.
func (n NativeParts) Findings() []Finding {
	const name = "native parts"
	if n.Err != nil {
		detail, advice := explain(n.Err, "run from RTAP's folder, or set RTAP_THIRD_PARTY to its third_party")
		return []Finding{{name, Fail, detail, advice}}
	}
	var out []Finding
	for _, p := range n.Parts {
		if p.Err == nil {
			continue
		}
		f := Finding{Name: name, Status: Fail}
		f.Detail, f.Advice = explain(p.Err, "run `make deps`")
		switch {
		case p.Name == "jfk":
			f.Status, f.Detail = Warn, "the recording that the mock plays: "+f.Detail
		case strings.Contains(p.Name, "/"):
			f.Status = Warn // a model's
		}
		out = append(out, f)
	}
	if len(out) == 0 {
		out = append(out, Finding{name, OK, fmt.Sprintf("%d pinned files are whole, in %s", len(n.Parts), n.Root), ""})
	}
	return out
}
