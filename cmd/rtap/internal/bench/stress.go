package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// stressOptions of `rtap bench stress`.
type stressOptions struct {
	liveOptions
	burstOptions
	most int
	goal float64 // ms
}

// step is one number of streams.
type step struct {
	Streams int            `json:"streams"`
	Holds   bool           `json:"holds"`
	Err     string         `json:"error,omitempty"`
	Report  *report.Report `json:"report,omitempty"`
}

// stressResult is what --json writes.
type stressResult struct {
	At       time.Time  `json:"at"`
	Version  string     `json:"version"`
	GoalMS   float64    `json:"ttfs_p95_goal_ms"`
	Capacity int        `json:"capacity"` // streams; 0 when not even one holds
	Given    bool       `json:"capacity_given"`
	Steps    []step     `json:"steps"`
	Overload []overload `json:"overload"`
}

func parseStress(env lifecycle.Env) (o stressOptions, err error) {
	fs := flag.NewFlagSet("rtap bench stress", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.flags.Register(fs)
	fs.IntVar(&o.most, "max", 64, "streams at most")
	fs.Float64Var(&o.goal, "goal", 400, "ms that the 95th percentile of TTFS must stay below")
	fs.IntVar(&o.stt, "stt", 1, "number of stt processes")
	fs.DurationVar(&o.duration, "duration", time.Minute, "how long each number of streams talks")
	fs.BoolVar(&o.interims, "interims", true, "with preliminary texts, which are shed first")
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings with texts (default what is here)")
	fs.StringVar(&o.labels, "labels", "", "`folder` of recordings with hand-made labels; none for none")
	fs.Uint64Var(&o.seed, "seed", 1, "of the order of clips and the pauses between them")
	fs.StringVar(&o.via, "via", viaFile, "file or listen, as rtap bench")
	fs.StringVar(&o.nats, "nats", "", "`URL` of a running server, instead of one of our own")
	o.register(fs)
	fs.StringVar(&o.json, "json", "", "write everything to a `file` as JSON; - is standard output, in place of the table")
	rest, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	o.streams, o.idle = 1, idleMany
	if o.most < 1 || o.most > mostStreams || o.goal <= 0 || o.duration < 10*time.Second {
		return o, lifecycle.Usage(fmt.Errorf("rtap bench stress: --max wants 1 to %d, --goal more than 0, --duration at least 10s", mostStreams))
	}
	return o, lifecycle.Usage(errors.Join(o.check(), o.settle(rest)))
}

// stress doubles the streams until finals are too late, and then halves the difference; then
// it lets a multiple of that talk for a moment.
func stress(ctx context.Context, env lifecycle.Env) error {
	o, err := parseStress(env)
	if err != nil {
		return err
	}
	res := stressResult{At: time.Now(), Version: env.Version, GoalMS: o.goal, Capacity: o.capacity, Given: o.capacity > 0, Overload: []overload{}}
	most := o.most
	if res.Given {
		most = 0
	}
	search(most, func(n int) bool {
		if err = ctx.Err(); err != nil {
			return false
		}
		fmt.Fprintf(env.Stderr, "%d streams\n", n)
		s := o.try(ctx, env, n)
		res.Steps = append(res.Steps, s)
		if s.Holds {
			res.Capacity = max(res.Capacity, n)
		}
		return s.Holds
	})
	for _, factor := range o.factors {
		if err != nil || ctx.Err() != nil {
			break
		}
		fmt.Fprintf(env.Stderr, "a burst at %g times the capacity\n", factor)
		res.Overload = append(res.Overload, o.overloaded(ctx, env, res.Capacity, factor))
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	if o.json != "" {
		raw, err := json.MarshalIndent(res, "", " ")
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		if o.json == "-" {
			_, err = env.Stdout.Write(append(raw, '\n'))
			return err
		}
		if err := os.WriteFile(o.json, append(raw, '\n'), 0o644); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return stressTable(env.Stdout, res)
}

// search tries 1, 2, 4 … up to most, and then between the last that held and the first that
// did not, until they lie a tenth apart.
// Up to none it tries nothing.
func search(most int, holds func(n int) bool) {
	good, bad := 0, most+1
	for n := 1; n <= most; n = min(2*n, most) {
		if !holds(n) {
			bad = n
			break
		}
		good = n
		if n == most {
			return
		}
	}
	for good > 0 && bad-good > max(1, good/10) {
		n := (good + bad) / 2
		if holds(n) {
			good = n
		} else {
			bad = n
		}
	}
}

func (o stressOptions) try(ctx context.Context, env lifecycle.Env, n int) step {
	l := o.liveOptions
	l.streams = n
	r, err := run(ctx, env, l)
	if err != nil {
		return step{Streams: n, Err: err.Error()}
	}
	x := r.Loss
	lost := x.Holes + x.Doubled + x.OutOfOrder + x.Undelivered + x.Unended
	return step{Streams: n, Report: r, Holds: r.Latency.TTFS.N > 0 && r.Latency.TTFS.P95 < o.goal && lost == 0}
}

func stressTable(out io.Writer, res stressResult) error {
	if res.Given {
		return overloadTable(out, res.Overload)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STREAMS\tTTFS P50\tP95\tPIPELINE P95\tINTERIM P95\tWER %\tCPU %\tMB\tSHED\tOTHERS %\tHOLDS")
	for _, s := range res.Steps {
		if s.Report == nil {
			fmt.Fprintf(w, "%d\tfailed: %s\n", s.Streams, s.Err)
			continue
		}
		r := s.Report
		fmt.Fprintf(w, "%d\t%.0f\t%.0f\t%.0f\t%.0f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%t\n", s.Streams, r.Latency.TTFS.P50, r.Latency.TTFS.P95,
			r.Latency.Pipeline.P95, r.Latency.Interim.P95, 100*r.Accuracy.Rate, r.Load.SpeakingCPU, r.Load.RSSMaxMB, r.Load.ShedDrafts, r.Machine.Others, s.Holds)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	fmt.Fprintf(out, "\ncapacity: %d always-talking streams with 95 of 100 finals within %.0f ms of the end of speech, none lost\n", res.Capacity, res.GoalMS)
	if len(res.Overload) == 0 {
		return nil
	}
	return overloadTable(out, res.Overload)
}
