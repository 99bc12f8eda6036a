package report

import (
	"fmt"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
)

// tellGrowth is how many seconds a run must last for growth over time to mean something.
const tellGrowth = 600

// Commands that measure with and without interims.
const (
	withInterims    = "rtap bench"
	withoutInterims = "rtap bench --interims=false"
)

// Judge fills in the goals of DESIGN's table.
func (r *Report) Judge() {
	r.Goals = nil
	one := r.Setup.Streams == 1
	limit := 50.0
	if !one {
		limit = 150
	}
	r.below("pipeline latency", r.Latency.Pipeline, 0, limit)
	if one {
		r.below("speech end to final (TTFS)", r.Latency.TTFS, 200, 280)
	} else {
		r.below(fmt.Sprintf("TTFS with %d streams", r.Setup.Streams), r.Latency.TTFS, 0, 400)
	}
	switch {
	case one && r.Setup.Interims:
		r.below("interim latency", r.Latency.Interim, 200, 600)
	case one:
		r.elsewhere("interim latency", "p50 < 200, p95 < 600 ms", withInterims)
	}
	t := r.Latency.Transport
	r.add("transport alone", "p99 < 5 ms", fmt.Sprintf("p99 %.1f ms", t.P99), t.P99 < 5, t.N > 0)
	r.accuracy()
	if one {
		r.load()
	}
	r.add("start", "ready in < 2 s", fmt.Sprintf("%.1f s", r.StartMS/1000), r.StartMS < 2000, r.StartMS > 0)
	v := r.Load.VADMS
	r.add("voice detection", "< 0.35 ms a frame", fmt.Sprintf("p50 %.2f, mean %.2f ms", v.P50, v.Mean), v.P50 < 0.35, v.N > 0)
	r.growth()
	r.loss()
	r.buffer()
}

func (r *Report) add(name, goal, figure string, reached, measured bool) {
	g := Goal{Name: name, Goal: goal, Figure: figure, Verdict: Missed}
	switch {
	case !measured:
		g.Figure, g.Verdict = "-", Unmeasured
	case reached:
		g.Verdict = Reached
	}
	r.Goals = append(r.Goals, g)
}

// elsewhere lists a goal that a run of this kind cannot tell, with the command that does.
func (r *Report) elsewhere(name, goal, command string) {
	r.Goals = append(r.Goals, Goal{Name: name, Goal: goal, Figure: "run `" + command + "`", Verdict: Unmeasured})
}

// below judges the median, unless it may be anything (0), and the 95th percentile.
func (r *Report) below(name string, d measure.Distribution, p50, p95 float64) {
	goal := fmt.Sprintf("p95 < %.0f ms", p95)
	reached := d.P95 < p95
	if p50 > 0 {
		goal = fmt.Sprintf("p50 < %.0f, p95 < %.0f ms", p50, p95)
		reached = reached && d.P50 < p50
	}
	figure := fmt.Sprintf("p50 %.0f, p95 %.0f ms (%.0f-%.0f)", d.P50, d.P95, d.CI95[0], d.CI95[1])
	r.add(name, goal, figure, reached, d.N > 0)
}

func (r *Report) accuracy() {
	a, ref := r.Accuracy, r.Reference
	if ref == nil || ref.Words == 0 || a.Words == 0 {
		r.add("accuracy", "not worse than cut at 700 ms", "", false, false)
		return
	}
	d := ref.Difference
	r.add("accuracy", "not worse than cut at 700 ms",
		fmt.Sprintf("%.1f %% against %.1f %%, difference %+.1f to %+.1f", 100*d.Rate, 100*d.Other, 100*d.Range[0], 100*d.Range[1]),
		d.Rate <= d.Other, true)
	if d.Rate > d.Other && d.Range[0] <= 0 {
		r.Goals[len(r.Goals)-1].Verdict = Noise
	}
}

func (r *Report) load() {
	l := r.Load
	r.add("CPU, one stream, idle", "< 6 %", fmt.Sprintf("%.1f %%", l.IdleCPU), l.IdleCPU < 6, l.IdleCPU > 0)
	r.speaking("with", 40, r.Setup.Interims, withInterims)
	r.speaking("without", 20, !r.Setup.Interims, withoutInterims)
	r.add("memory, one stream", "< 400 MB", fmt.Sprintf("%.0f MB at most", l.RSSMaxMB), l.RSSMaxMB < 400, l.RSSMaxMB > 0)
}

// speaking judges what a stream costs in which somebody speaks, in the run that can tell it.
func (r *Report) speaking(how string, limit float64, here bool, command string) {
	name, goal := "CPU, one stream, speaking, "+how+" interims", fmt.Sprintf("< %.0f %%", limit)
	if !here {
		r.elsewhere(name, goal, command)
		return
	}
	l := r.Load
	r.add(name, goal, fmt.Sprintf("%.1f %%", l.SpeakingCPU), l.SpeakingCPU < limit, l.SpeakingCPU > 0)
}

// growth looks at the memory of all processes, and compares the times of the last third of the run with the first.
func (r *Report) growth() {
	l := r.Load
	r.add("memory over time", "not growing", fmt.Sprintf("%+.0f MB an hour of %.0f MB", l.GrowthMB, l.RSSMB),
		l.GrowthMB < 0.1*l.RSSMB, // the manual's alert
		r.Setup.Seconds >= tellGrowth && l.RSSMB > 0)
	var first, last []float64
	for _, e := range r.Ends.TTFS {
		switch {
		case e.Second < r.Setup.Seconds/3:
			first = append(first, e.MS)
		case e.Second > 2*r.Setup.Seconds/3:
			last = append(last, e.MS)
		}
	}
	a, b := measure.Distribute(first), measure.Distribute(last)
	r.add("TTFS over time", "not growing", fmt.Sprintf("p50 %.0f ms in the first third, %.0f ms in the last", a.P50, b.P50),
		b.CI50[0] <= a.CI50[1], r.Setup.Seconds >= tellGrowth && min(a.N, b.N) >= least50)
}

func (r *Report) buffer() {
	most, seen := 0.0, r.Load.Buffer != nil
	if seen {
		most = *r.Load.Buffer
	}
	r.add("buffer utilisation", "< 0.8", fmt.Sprintf("%.2f at most", most), most < 0.8, seen)
}

func (r *Report) loss() {
	l := r.Loss
	n := l.Holes + l.Undelivered + l.Unended
	r.add("loss", "0 lost, 0 doubled, none out of order", fmt.Sprintf("%d lost, %d doubled, %d out of order", n, l.Doubled, l.OutOfOrder),
		n+l.Doubled+l.OutOfOrder == 0, true)
}
