// Package top is `rtap top`: processes, queues, streams and latency at a glance.
package top

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// between is the time from one look to the next that --once and --json compare.
const between = time.Second

// Run is `rtap top`.
func Run(ctx context.Context, env lifecycle.Env) error {
	var o running.Options
	fs := flag.NewFlagSet("rtap top", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.Register(fs)
	interval := fs.Duration("interval", 2*time.Second, "`time` between looks")
	once := fs.Bool("once", false, "one look, as text")
	asJSON := fs.Bool("json", false, "one look, as JSON")
	if err := arguments.None(fs, env.Args); err != nil {
		return err
	}
	if *interval < 200*time.Millisecond {
		return lifecycle.Usage(errors.New("--interval wants at least 200ms"))
	}
	cfg, err := o.Load(env.Environ)
	if err != nil {
		return err
	}
	switch {
	case *asJSON:
		return look(ctx, env.Stdout, cfg.NATS)
	case *once:
		return Once(ctx, cfg.NATS, env.Stdout)
	}
	out, ok := env.Stdout.(*os.File)
	if st, err := statOf(out); !ok || err != nil || st.Mode()&os.ModeCharDevice == 0 {
		return lifecycle.Usage(errors.New("this is no terminal: take --once or --json"))
	}
	m := &model{ctx: ctx, cfg: cfg.NATS, interval: *interval, text: "looking…"}
	_, err = tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(env.Stdin), tea.WithOutput(out)).Run()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("drawing on the terminal: %w", err)
	}
	return nil
}

func statOf(f *os.File) (os.FileInfo, error) {
	if f == nil {
		return nil, os.ErrInvalid
	}
	return f.Stat()
}

// look prints one report as JSON.
func look(ctx context.Context, w io.Writer, cfg config.NATS) error {
	r, err := twice(ctx, cfg)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return r.nothing()
}

// Once writes one report as text.
func Once(ctx context.Context, cfg config.NATS, w io.Writer) error {
	r, err := twice(ctx, cfg)
	if err != nil {
		return err
	}
	r.render(w)
	return r.nothing()
}

// twice makes a report of two samples.
func twice(ctx context.Context, cfg config.NATS) (Report, error) {
	first := take(ctx, cfg)
	select {
	case <-ctx.Done():
		return Report{}, ctx.Err()
	case <-time.After(between):
	}
	return report(first, take(ctx, cfg), false), nil
}

// nothing is the error of a report on nothing.
func (r Report) nothing() error {
	if len(r.Processes) == 0 && r.Server.Version == "" {
		return fmt.Errorf("nothing answers: neither a process of RTAP on this host nor the NATS server (%s)", r.Server.Problem)
	}
	return nil
}

// model is the picture on the terminal, in the form that Bubble Tea wants it.
type model struct {
	ctx      context.Context //nolint:containedctx // Bubble Tea's commands take none
	cfg      config.NATS
	interval time.Duration

	last          sample
	text          string
	width, height int
}

type looked struct{ sample sample }

type due struct{}

func (m *model) look() tea.Msg { return looked{take(m.ctx, m.cfg)} }

// Init begins with the first look.
func (m *model) Init() tea.Cmd { return m.look }

// Update takes a look's outcome, a key or the terminal's size.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		switch msg.String() {
		case "q", "esc", "ctrl+c":
			return m, tea.Quit
		case "space":
			return m, m.look
		}
	case due:
		return m, m.look
	case looked:
		if m.last.at.IsZero() {
			m.last = msg.sample
		}
		var b strings.Builder
		report(m.last, msg.sample, true).render(&b)
		m.text, m.last = b.String(), msg.sample
		return m, tea.Tick(m.interval, func(time.Time) tea.Msg { return due{} })
	}
	return m, nil
}

// View cuts the text to the terminal.
func (m *model) View() tea.View {
	lines := strings.Split(strings.TrimRight(m.text, "\n"), "\n")
	if m.height > 1 && len(lines) > m.height-1 {
		lines = append(lines[:m.height-2], fmt.Sprintf("… %d more lines: make the terminal higher, or take --once", len(lines)-m.height+2))
	}
	for i, line := range lines {
		if runes := []rune(line); m.width > 0 && len(runes) > m.width {
			lines[i] = string(runes[:m.width-1]) + "…"
		}
	}
	v := tea.NewView(strings.Join(lines, "\n") + "\nq: quit, space: look now")
	v.AltScreen, v.WindowTitle = true, "rtap top"
	return v
}
