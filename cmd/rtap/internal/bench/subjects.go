package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
)

// all stands for every model that is here in a list of names.
const all = "all"

// subject is one form of one model.
type subject struct {
	Name string `json:"name"` // as stt.model names it: of the catalogue, or a path
	Form string `json:"form"` // as the catalogue calls it; "" to leave it to the model
}

func (s subject) String() string { return strings.TrimSpace(s.Name + " " + s.Form) }

// choose lists what a comma-separated list names: all, names, and paths of files.
func choose(c *models.Catalogue, list string) (out []subject, err error) {
	seen := map[subject]bool{}
	add := func(some ...subject) {
		for _, s := range some {
			if !seen[s] {
				seen[s], out = true, append(out, s)
			}
		}
	}
	for name := range strings.SplitSeq(list, ",") {
		switch name = strings.TrimSpace(name); {
		case name == "":
		case name == all:
			for i := range c.Entries {
				add(present(c, &c.Entries[i])...)
			}
			strangers, err := c.Strangers()
			if err != nil {
				return nil, err
			}
			for _, path := range strangers {
				add(subject{Name: path})
			}
		case models.IsPath(name):
			if _, err := os.Stat(name); err != nil {
				return nil, fmt.Errorf("looking for the model: %w", err)
			}
			add(subject{Name: name})
		default:
			e, err := c.Find(name)
			if err != nil {
				return nil, err
			}
			forms := present(c, e)
			if len(forms) == 0 {
				return nil, fmt.Errorf("model %s %w: run `rtap models pull %s`", name, models.ErrAbsent, name)
			}
			add(forms...)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no model to measure in %q: `rtap models list` shows what there is", list)
	}
	return out, nil
}

func present(c *models.Catalogue, e *models.Entry) (out []subject) {
	forms, pinned := c.Present(e)
	if pinned {
		out = append(out, subject{Name: e.Name})
	}
	for _, f := range forms {
		out = append(out, subject{e.Name, f.Dtype})
	}
	return out
}

// try runs the stt program, which alone links the engines, on one subject.
func try(ctx context.Context, env lifecycle.Env, o options, s subject) (*bench.Report, error) {
	path, err := sibling.Path("stt")
	if err != nil {
		return nil, err
	}
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, path, o.arguments(s)...)
	cmd.Env, cmd.Stdout, cmd.Stderr = env.Environ, &out, io.MultiWriter(env.Stderr, &complaint)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(complaint.String())
		return nil, fmt.Errorf("running rtap-stt: %w: %s", err, said[strings.LastIndexByte(said, '\n')+1:])
	}
	r := &bench.Report{}
	if err := json.Unmarshal(out.Bytes(), r); err != nil {
		return nil, fmt.Errorf("reading what rtap-stt measured: %w", err)
	}
	return r, nil
}

// arguments of rtap-stt for one subject.
func (o options) arguments(s subject) []string {
	out := []string{"bench", "--json", "--model", s.Name, "--runs", strconv.Itoa(o.runs), "--noise", o.noise.String()}
	if s.Form != "" {
		out = append(out, "--dtype", s.Form)
	}
	if o.clips != "" {
		out = append(out, "--clips", o.clips)
	}
	if o.config != "" {
		out = append(out, "--config", o.config)
	}
	for _, kv := range o.set {
		out = append(out, "--set", kv)
	}
	return out
}
