package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
)

// What is no noise for figures that come without a range: a share of the larger, and so much.
const (
	noiseShare = 0.1
	noiseCPU   = 1.0 // per cent of a core
	noiseMB    = 10.0
	// So many figures a percentile's range needs: with fewer it ends at the largest of them.
	least50, least95, least99 = 10, 150, 700
)

// Change is one figure in two runs. Less is better in all of them.
type Change struct {
	Name     string
	Old, New float64
	Verdict  string // better, worse, or "" within noise
}

// Changes lists what can be compared. Figures with ranges have changed when the ranges do
// not meet.
func Changes(old, now *Report) (out []Change) {
	add := func(name string, a, b float64, apart bool) {
		c := Change{Name: name, Old: a, New: b}
		switch {
		case !apart:
		case b < a:
			c.Verdict = "better"
		default:
			c.Verdict = "worse"
		}
		out = append(out, c)
	}
	ranged := func(name string, a, b measure.Distribution) {
		if a.N == 0 || b.N == 0 {
			return
		}
		n := min(a.N, b.N)
		add(name+" p50", a.P50, b.P50, n >= least50 && disjoint(a.CI50, b.CI50))
		add(name+" p95", a.P95, b.P95, n >= least95 && disjoint(a.CI95, b.CI95))
		add(name+" p99", a.P99, b.P99, n >= least99 && disjoint(a.CI99, b.CI99))
	}
	a, b := old.Latency, now.Latency
	ranged("pipeline", a.Pipeline, b.Pipeline)
	ranged("TTFS", a.TTFS, b.TTFS)
	ranged("closing", a.Closing, b.Closing)
	ranged("interim", a.Interim, b.Interim)
	ranged("committed interim", a.Committed, b.Committed)
	ranged("decoding", a.Decode, b.Decode)
	ranged("transport", a.Transport, b.Transport)
	if old.Accuracy.Words > 0 && now.Accuracy.Words > 0 {
		d := measure.Differ(now.Accuracy, old.Accuracy)
		add("word errors, %", 100*d.Other, 100*d.Rate, d.Range[0] > 0 || d.Range[1] < 0)
	}
	plain := func(name string, x, y, least float64) {
		if x > 0 || y > 0 {
			add(name, x, y, math.Abs(x-y) > max(least, noiseShare*max(x, y)))
		}
	}
	plain("CPU idle, %", old.Load.IdleCPU, now.Load.IdleCPU, noiseCPU)
	plain("CPU speaking, %", old.Load.SpeakingCPU, now.Load.SpeakingCPU, noiseCPU)
	plain("memory, MB", old.Load.RSSMaxMB, now.Load.RSSMaxMB, noiseMB)
	plain("start, ms", old.StartMS, now.StartMS, 200)
	share := func(r *Report, n int) float64 { return 1000 * float64(n) / float64(max(1, r.Ends.Segments)) }
	count := func(name string, x, y int) {
		// Two counts differ when they lie more than two deviations apart.
		add(name+", of 1000 segments", share(old, x), share(now, y), math.Abs(share(old, x)-share(now, y)) >
			2*math.Hypot(share(old, 1)*math.Sqrt(float64(x+1)), share(now, 1)*math.Sqrt(float64(y+1))))
	}
	count("cuts inside speech", old.Ends.Inside, now.Ends.Inside)
	count("forced cuts", old.Ends.Forced, now.Ends.Forced)
	count("ends without a text", old.Ends.Unheard+old.Ends.TailUnheard, now.Ends.Unheard+now.Ends.TailUnheard)
	count("committed words taken back", old.Words.Retracted, now.Words.Retracted)
	lost := func(r *Report) int { return r.Loss.Holes + r.Loss.Undelivered + r.Loss.Doubled + r.Loss.OutOfOrder }
	add("lost, doubled, out of order", float64(lost(old)), float64(lost(now)), lost(old) != lost(now))
	return out
}

func disjoint(a, b [2]float64) bool { return a[1] < b[0] || b[1] < a[0] }

// Compare prints what changed from an earlier run to this one.
func Compare(out io.Writer, old, now *Report) error {
	fmt.Fprintf(out, "\ncompared with %s, rtap %s\n", old.At.Format("2006-01-02 15:04 MST"), old.Version)
	for _, d := range differences(old, now) {
		fmt.Fprintf(out, "NOT ALIKE: %s\n", d)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tBEFORE\tNOW\tCHANGE")
	all := Changes(old, now)
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%s\n", c.Name, c.Old, c.New, c.Verdict)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if !slices.ContainsFunc(all, func(c Change) bool { return c.Verdict != "" }) {
		fmt.Fprintln(out, "nothing changed beyond noise")
	}
	return nil
}

// differences in what was run, which make a comparison doubtful.
func differences(old, now *Report) (out []string) {
	a, b := old.Setup, now.Setup
	add := func(what string, x, y any) {
		if fmt.Sprint(x) != fmt.Sprint(y) {
			out = append(out, fmt.Sprintf("%s was %v, is %v", what, x, y))
		}
	}
	add("machine", old.Machine.CPU, now.Machine.CPU)
	add("usable threads", old.Machine.Usable, now.Machine.Usable)
	add("streams", a.Streams, b.Streams)
	add("recognisers", a.STT, b.STT)
	add("source", a.Via, b.Via)
	add("interims", a.Interims, b.Interims)
	add("profile", Named(a.Profile), Named(b.Profile))
	add("model", Named(a.Model), Named(b.Model))
	add("settings", a.Settings, b.Settings)
	add("seed", a.Seed, b.Seed)
	add("seconds of each stream", math.Round(a.Seconds), math.Round(b.Seconds))
	add("clips", a.Clips, b.Clips)
	add("labelled recordings", a.Labelled, b.Labelled)
	if now.Machine.Others > otherCPU || old.Machine.Others > otherCPU {
		out = append(out, fmt.Sprintf("other programs used %.0f %% of a core then, %.0f %% now", old.Machine.Others, now.Machine.Others))
	}
	return out
}
