// Package profile is `rtap profile`: where the time and the memory of running processes
// go, as a table, a flame graph or a file for pprof.
package profile

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pprof "github.com/google/pprof/profile"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// kinds are the profiles: which of a profile's values is shown, and whether it covers a time.
var kinds = map[string]struct {
	value string
	timed bool
	about string
}{
	"cpu":        {"cpu", true, "time on a processor"},
	"heap":       {"inuse_space", false, "memory in use"},
	"allocs":     {"alloc_space", false, "memory ever allocated"},
	"goroutines": {"goroutine", false, "goroutines"},
	"mutex":      {"delay", true, "time that others waited for a mutex"},
	"block":      {"delay", true, "time spent waiting"},
}

// Kinds completes the first argument.
func Kinds(_, args []string) []string {
	if len(args) > 0 {
		return nil
	}
	var out []string
	for name, k := range kinds {
		out = append(out, name+"\t"+k.about)
	}
	return out
}

type options struct {
	running.Options
	kind, process, out string
	length             seconds
	watch              bool
	interval           time.Duration
	count              int
}

// seconds is a duration that may be given as a bare number.
type seconds time.Duration

func (s *seconds) String() string { return time.Duration(*s).String() }

// Set reads "30" or "30s".
func (s *seconds) Set(text string) error {
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		text = fmt.Sprintf("%fs", n)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > control.MaxProfile {
		return fmt.Errorf("want seconds or a duration such as 30s, at most %s", control.MaxProfile)
	}
	*s = seconds(d)
	return nil
}

func parse(env lifecycle.Env) (o options, err error) {
	fs := flag.NewFlagSet("rtap profile", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.Register(fs)
	o.length = seconds(10 * time.Second)
	fs.Var(&o.length, "d", "`time` that a cpu, mutex or block profile covers (default 10s)")
	fs.StringVar(&o.process, "process", "", "only the processes of this `service`, or this instance")
	fs.StringVar(&o.out, "o", "", "`file`: .svg or .html (flame graph), .pb.gz (pprof), .txt (table)")
	fs.BoolVar(&o.watch, "watch", false, "heap: a line for each process again and again")
	fs.DurationVar(&o.interval, "interval", 10*time.Second, "of --watch")
	fs.IntVar(&o.count, "count", 0, "end --watch after so many looks; 0: at Ctrl-C")
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	if len(args) != 1 || kinds[args[0]].value == "" {
		return o, lifecycle.Usage(fmt.Errorf("rtap profile %s: want cpu, heap, allocs, goroutines, mutex or block", strings.Join(args, " ")))
	}
	o.kind = args[0]
	switch {
	case o.watch && o.kind != "heap":
		return o, lifecycle.Usage(errors.New("--watch is for heap"))
	case o.watch && (o.interval < 100*time.Millisecond || o.count < 0):
		return o, lifecycle.Usage(errors.New("--interval wants at least 100ms, --count no less than 0"))
	case o.out != "" && form(o.out) == nil:
		return o, lifecycle.Usage(fmt.Errorf("-o %s: want a name that ends in .svg, .html, .pb.gz or .txt", o.out))
	}
	return o, nil
}

// Run is `rtap profile`.
func Run(ctx context.Context, env lifecycle.Env) error {
	o, err := parse(env)
	if err != nil {
		return err
	}
	cfg, err := o.Load(env.Environ)
	if err != nil {
		return err
	}
	p := running.Find(ctx, cfg.NATS, "profile")
	defer p.Close()
	if p.Problem != nil {
		fmt.Fprintf(env.Stderr, "only the processes of this host or container, since there is no NATS: %v\n", p.Problem)
	}
	targets, err := control.Choose(p.Targets, o.process)
	if err != nil {
		return err
	}
	if o.watch {
		return watch(ctx, env.Stdout, o, targets)
	}
	if kinds[o.kind].timed {
		fmt.Fprintf(env.Stderr, "looking at %d processes for %s\n", len(targets), o.length.String())
	}
	taken, err := take(ctx, o, targets)
	for _, t := range taken {
		if t.err != nil {
			fmt.Fprintf(env.Stderr, "%s: %v\n", t.name, t.err)
		}
	}
	if err != nil {
		return err
	}
	return o.write(env.Stdout, taken)
}

// taken is the profile of one process, or why there is none.
type taken struct {
	name    string // "stt host-7"
	profile *pprof.Profile
	err     error
}

// take asks all processes at once; the error says that none has answered.
func take(ctx context.Context, o options, targets []control.Target) ([]taken, error) {
	limit := 15 * time.Second
	q := url.Values{"kind": {o.kind}}
	if kinds[o.kind].timed {
		limit += time.Duration(o.length)
		q.Set("seconds", fmt.Sprint(time.Duration(o.length).Seconds()))
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out := make([]taken, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			out[i].name = t.GetService() + " " + t.GetInstance()
			raw, err := t.Ask(ctx, control.Profile, q)
			if err == nil {
				out[i].profile, err = pprof.ParseData(raw)
			}
			out[i].err = err
		})
	}
	wg.Wait()
	if !slices.ContainsFunc(out, func(t taken) bool { return t.err == nil }) {
		return out, errors.New("no process gave a profile")
	}
	return out, nil
}

// writer writes profiles in one form.
type writer func(w io.Writer, title string, root *frame, all []taken) error

// form chooses by the file's name; nil where none fits.
func form(name string) writer {
	for _, f := range []struct {
		suffix string
		write  writer
	}{{".svg", writeSVG}, {".html", writeHTML}, {".pb.gz", writeRaw}, {".txt", writeTable}} {
		if strings.HasSuffix(name, f.suffix) {
			return f.write
		}
	}
	return nil
}

func (o options) write(stdout io.Writer, all []taken) error {
	kind := kinds[o.kind]
	root, unit := tree(all, kind.value)
	root.unit = unit
	title := "RTAP: " + kind.about
	if kind.timed {
		title += " in " + o.length.String()
	}
	if o.out == "" {
		return writeTable(stdout, title, root, all)
	}
	f, err := os.CreateTemp(filepath.Dir(o.out), ".rtap-profile-*")
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("writing the profile: %w", err))
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = form(o.out)(f, title, root, all)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), o.out)
	}
	if err != nil {
		return fmt.Errorf("writing the profile: %w", err)
	}
	fmt.Fprintf(stdout, "%s: %s, %s\n", o.out, title, amount(root.total, unit))
	return nil
}

// writeRaw merges all profiles into one for `go tool pprof`; the label process tells them apart.
func writeRaw(w io.Writer, _ string, _ *frame, all []taken) error {
	var profiles []*pprof.Profile
	for _, t := range all {
		if t.err == nil {
			t.profile.SetLabel("process", []string{t.name})
			profiles = append(profiles, t.profile)
		}
	}
	merged, err := pprof.Merge(profiles)
	if err != nil {
		return fmt.Errorf("joining profiles: %w", err)
	}
	return merged.Write(w)
}

// most are the lines of a table.
const most = 30

// writeTable lists the functions that cost most, by what they cost themselves.
func writeTable(w io.Writer, title string, root *frame, _ []taken) error {
	rows := root.functions()
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.self, a.self), cmp.Compare(b.total, a.total), cmp.Compare(a.name, b.name))
	})
	fmt.Fprintf(w, "%s, %s in all\n\n%12s %6s  %12s %6s  %s\n", title, amount(root.total, root.unit), "itself", "%", "with callees", "%", "function")
	for _, r := range rows[:min(most, len(rows))] {
		fmt.Fprintf(w, "%12s %5.1f%%  %12s %5.1f%%  %s\n", amount(r.self, root.unit), share(r.self, root.total), amount(r.total, root.unit), share(r.total, root.total), r.name)
	}
	return nil
}

func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// amount renders a value in a unit of pprof's.
func amount(n int64, unit string) string {
	switch unit {
	case "nanoseconds":
		return time.Duration(n).Round(time.Millisecond).String()
	case "bytes":
		return bytesText(n)
	default:
		return strconv.FormatInt(n, 10)
	}
}

func bytesText(n int64) string {
	sign, x := "", float64(n)
	if n < 0 {
		sign, x = "-", -x
	}
	units := []string{"B", "kB", "MB", "GB"}
	i := 0
	for ; x >= 1024 && i < len(units)-1; i++ {
		x /= 1024
	}
	if i == 0 {
		return fmt.Sprintf("%s%.0f B", sign, x)
	}
	return fmt.Sprintf("%s%.1f %s", sign, x, units[i])
}
