// Command chaos plays known speech through the real pipeline while its processes are
// killed, stopped, cut off from the server and killed at named places, and judges by the
// audio whether anything was lost, doubled, out of order or cut. `make chaos` runs it.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/test/chaos/rig"
)

type options struct {
	bin, audio, json string
	seed             uint64
	short, plan      bool
	keep, cluster    bool
	only, without    string
	from, to         string
	part             int
	most             time.Duration
	streams          int
}

func main() {
	o := options{seed: uint64(time.Now().Unix())}
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		o.seed = s
	}
	flag.StringVar(&o.bin, "bin", "bin/chaos", "`folder` of the programs, built with -tags failpoint")
	flag.StringVar(&o.audio, "audio", os.Getenv("RTAP_TEST_AUDIO"), "`folder` of recordings with texts (default third_party/audio)")
	flag.StringVar(&o.json, "json", "", "`file` for the outcome")
	flag.Uint64Var(&o.seed, "seed", o.seed, "schedule; also SEED in the environment")
	flag.BoolVar(&o.short, "short", false, "a selection of a few minutes")
	flag.BoolVar(&o.plan, "plan", false, "print the schedule and do nothing")
	flag.BoolVar(&o.keep, "keep", false, "leave the folder with the log of all processes")
	flag.StringVar(&o.only, "only", "", "only rounds whose name holds this `text` (or one of several with commas between), and the references that they need")
	flag.StringVar(&o.without, "without", "", "no rounds whose name holds this `text` (or one of several with commas between)")
	flag.BoolVar(&o.cluster, "cluster", false, "against a cluster of three servers, R3, instead of one; what needs a proxy, a small disk, a clock of its own or rtap up is left out")
	flag.IntVar(&o.part, "part", 0, "`1 or 2` of the suite (default 1, or both where rounds are named)")
	flag.StringVar(&o.from, "from", "", "begin with the round whose name holds this `text`, after the references")
	flag.StringVar(&o.to, "to", "", "end before the round whose name holds this `text`")
	flag.DurationVar(&o.most, "most", 0, "begin no further round after so long, and fail (default 37m, 8m with -short)")
	flag.IntVar(&o.streams, "streams", 3, "streams at once")
	flag.Parse()
	if o.most == 0 {
		o.most = 37 * time.Minute
		if o.short {
			o.most = 8 * time.Minute
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	bad, err := run(ctx, o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if bad {
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) (bad bool, err error) {
	rounds, err := chosen(makePlan(o.seed, o.short), o)
	if err != nil {
		return false, err
	}
	kind, without := rig.Single, []string(nil)
	if o.cluster {
		kind = rig.Cluster
		if rounds, without = onCluster(rounds); !slices.ContainsFunc(rounds, func(r round) bool { return r.kind != kindNone }) {
			return false, fmt.Errorf("none of these rounds can be played on a cluster: %s", strings.Join(without, ", "))
		}
	}
	if o.plan {
		printPlan(out, o.seed, rounds)
		return false, nil
	}
	fmt.Fprintf(out, "SEED=%d\n", o.seed)
	if len(without) > 0 {
		fmt.Fprintf(out, "left out on a cluster: %s\n", strings.Join(without, ", "))
	}
	p, err := rig.New(o.bin, kind)
	if err != nil {
		return false, err
	}
	defer func() { p.Close(o.keep || bad || err != nil) }()
	fmt.Fprintf(out, "log of all processes: %s\n", p.Log())
	short, long, err := recordings(o, p.Dir)
	if err != nil {
		return false, err
	}
	if err := p.Start(ctx); err != nil {
		return false, err
	}
	began := time.Now()
	report := report{Seed: o.seed, Began: began.UTC(), Cluster: o.cluster, Without: without}
	for n, r := range rounds {
		_, kills := r.planned()
		report.PlannedKills += kills
		if time.Since(began) > o.most || ctx.Err() != nil {
			report.Left = append(report.Left, r.name)
			continue
		}
		s := short
		if r.long {
			s = long
		}
		got, err := one(ctx, o, p, n, r, s, short)
		if err != nil { // as bad as any other; the rounds after it are still worth their time
			p.StopSources()
			got = newOutcome(r)
			got.Stuck = 1
			got.Notes = append(got.Notes, "not judged: "+err.Error())
		}
		report.Rounds = append(report.Rounds, got)
		printRound(out, got, n == 0)
	}
	bad = report.Bad()
	report.Seconds = time.Since(began).Seconds()
	report.sum(out)
	if o.json != "" {
		raw, err := json.MarshalIndent(report, "", "  ")
		if err == nil {
			err = os.WriteFile(o.json, raw, 0o600)
		}
		if err != nil {
			return bad, fmt.Errorf("writing the outcome: %w", err)
		}
	}
	return bad, nil
}

// one plays a round: on the pipeline that stands, or on one of its own kind.
func one(ctx context.Context, o options, p *rig.Rig, n int, r round, s, short *set) (got *outcome, err error) {
	if r.on == rig.Single {
		return play(ctx, p, n, r, s, short)
	}
	own, err := rig.New(o.bin, r.on)
	if err != nil {
		return nil, err
	}
	defer func() { own.Close(err != nil || got.Bad() || o.keep) }()
	if r.kind == kindDisk {
		if err := own.SmallDisk(diskMB); err != nil {
			out := newOutcome(r)
			out.missed("not run: %v", err)
			return out, nil
		}
	}
	if err := own.Start(ctx); err != nil {
		return nil, err
	}
	got, err = play(ctx, own, n, r, s, short)
	if err == nil && (got.Bad() || o.keep) {
		got.Notes = append(got.Notes, "log of its processes: "+own.Log())
	}
	return got, err
}

// recordings makes the two sets, and writes them as files.
func recordings(o options, dir string) (short, long *set, err error) {
	folder := o.audio
	if folder == "" {
		folder = filepath.Join("third_party", "audio")
	}
	spoken, err := material.Read(folder)
	if err != nil {
		return nil, nil, err
	}
	var labelled []material.Clip
	if _, err := os.Stat(filepath.Join(folder, "vad")); err == nil {
		if labelled, err = material.ReadLabelled(filepath.Join(folder, "vad")); err != nil {
			return nil, nil, err
		}
	}
	build := func(name string, length time.Duration) (*set, error) {
		// A long clip at the end would make a round of 20 seconds one of a minute: of some layouts
		// the shortest is taken.
		var s *set
		for n := range uint64(64) {
			if other := (&set{recordings: material.Make(spoken, labelled, material.Options{
				Streams: o.streams, Seed: o.seed*64 + n, Lead: time.Second, Stagger: time.Second, Duration: length,
			})}); s == nil || other.length() < s.length() {
				s = other
			}
		}
		for i := range s.recordings {
			path := filepath.Join(dir, fmt.Sprintf("%s-%d.wav", name, i+1))
			if err := s.recordings[i].Render(path); err != nil {
				return nil, err
			}
			s.files = append(s.files, path)
		}
		return s, nil
	}
	if short, err = build("short", 20*time.Second); err != nil {
		return nil, nil, err
	}
	long, err = build("long", 45*time.Second)
	return short, long, err
}
