package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/material"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
	"golang.org/x/sys/unix"
)

const mb = 1 << 20

// report makes the figures of a run.
func (p *played) report(o liveOptions) *report.Report {
	r := &report.Report{Schema: report.Schema, At: p.at, Machine: thisMachine(), StartMS: ms(p.ready)}
	r.Setup = report.Setup{
		Streams: o.streams, STT: o.stt, Via: o.via, Settings: o.flags.Set, Interims: o.interims, Model: p.model, Seed: o.seed,
	}
	for i := range p.streams {
		r.Setup.Seconds = max(r.Setup.Seconds, float64(p.streams[i].Recording.Samples)/16000)
		r.Setup.SpeechSeconds += float64(p.streams[i].Recording.SpeechSamples()) / 16000
	}
	var fsync []float64
	for _, d := range p.fsync {
		fsync = append(fsync, ms(d))
	}
	r.Fsync = measure.Distribute(fsync)
	r.Ends = measure.CountEnds(p.streams)
	r.Words = measure.FollowWords(p.streams)
	r.Accuracy = measure.Rate(p.streams)
	r.Utterances = len(r.Ends.TTFS)
	r.Publishable = r.Utterances >= report.Least
	p.latency(r)
	p.loss(r)
	p.counters(r)
	p.load(r)
	return r
}

func (p *played) latency(r *report.Report) {
	var all, hand, rule, closing, decode, queue []float64
	for _, e := range r.Ends.TTFS {
		all = append(all, e.MS)
		if e.Closing != 0 {
			closing = append(closing, e.Closing)
		}
		if e.Hand {
			hand = append(hand, e.MS)
		} else {
			rule = append(rule, e.MS)
		}
	}
	var decoded, heard float64 // seconds
	for i := range p.streams {
		for _, f := range p.streams[i].Finals {
			decode, queue = append(decode, f.STT), append(queue, f.Queue)
			decoded += f.STT / 1000
			heard += float64(f.End-f.Start) / 16000
			r.Speculation.Finals++
			if f.Speculative {
				r.Speculation.Hits++
			}
		}
	}
	r.Latency = report.Latency{
		Pipeline: measure.Distribute(r.Ends.Pipeline), TTFS: measure.Distribute(all), TTFSHand: measure.Distribute(hand),
		TTFSRule: measure.Distribute(rule), Closing: measure.Distribute(closing), Interim: measure.Distribute(r.Words.First),
		Committed: measure.Distribute(r.Words.Committed), Decode: measure.Distribute(decode), Queue: measure.Distribute(queue),
		Transport: measure.Distribute(p.transport),
	}
	if heard > 0 {
		r.Load.RTF = decoded / heard
	}
	if r.Words.Count == 0 {
		r.Latency.Interim, r.Latency.Committed = measure.Distribution{}, measure.Distribution{}
	}
}

func (p *played) loss(r *report.Report) {
	finals := 0
	for i := range p.streams {
		s := &p.streams[i]
		finals += len(s.Finals)
		w := &r.Loss.Disorder
		w.Holes, w.Doubled = w.Holes+s.Wrong.Holes, w.Doubled+s.Wrong.Doubled
		w.OutOfOrder, w.Restarted = w.OutOfOrder+s.Wrong.OutOfOrder, w.Restarted+s.Wrong.Restarted
		if !s.Ended {
			r.Loss.Unended++
		}
	}
	r.Loss.Undelivered = max(0, p.stored-finals-r.Loss.Holes)
	r.Loss.Dead = p.dead
}

// counters takes what the pipeline counts itself.
func (p *played) counters(r *report.Report) {
	grown := p.after.Since(p.before)
	r.Counters = map[string]float64{}
	r.Load.Shed, r.Speculation.Outcomes = map[string]float64{}, map[string]float64{}
	for key, v := range grown.Counters {
		if v == 0 {
			continue
		}
		r.Counters[key] = v
		if label, ok := strings.CutPrefix(key, "rtap_shed_total{"); ok {
			r.Load.Shed["shed "+value(label)] = v
		}
		if label, ok := strings.CutPrefix(key, "rtap_speculation_total{"); ok {
			r.Speculation.Outcomes[value(label)] = v
		}
	}
	r.Speculation.WastedSeconds = grown.Counters["rtap_speculation_wasted_seconds_total"]
	r.Load.Buffer = p.buffer
	if h := grown.Histograms[`rtap_stage_latency_seconds{stage="vad"}`]; h != nil {
		r.Load.VADMS = measure.Distribution{
			N: int(h.Count), Mean: 1000 * h.Mean(), P50: 1000 * h.Quantile(.5), P95: 1000 * h.Quantile(.95), P99: 1000 * h.Quantile(.99),
		}
	}
}

// value is what the only label of a metric is set to.
func value(label string) string {
	_, v, _ := strings.Cut(strings.TrimSuffix(label, "}"), "=")
	return strings.Trim(v, `"`)
}

// load makes CPU and memory of the samples: idle before the first word, speaking after it.
func (p *played) load(r *report.Report) {
	first, last := p.firstWord(), p.lastWord()
	// The pipeline settles for two seconds before it is called idle.
	calm := p.streams[0].Zero + int64(5*time.Second)
	idle := between(p.samples, calm, p.earliest()-int64(time.Second))
	speaking := between(p.samples, first, last)
	names, order := map[int]string{}, []int{}
	for _, s := range p.samples {
		for _, x := range s.Processes {
			if names[x.PID] == "" {
				names[x.PID] = x.Name
				order = append(order, x.PID)
			}
		}
	}
	for _, pid := range order {
		q := report.Process{Name: names[pid], IdleCPU: busy(idle, pid), SpeakingCPU: busy(speaking, pid)}
		for _, s := range speaking {
			if x := find(s, pid); x != nil {
				if q.RSSStartMB == 0 {
					q.RSSStartMB = float64(x.RSS) / mb
				}
				q.RSSEndMB, q.RSSMaxMB = float64(x.RSS)/mb, max(q.RSSMaxMB, float64(x.RSS)/mb)
			}
		}
		r.Load.IdleCPU, r.Load.SpeakingCPU = r.Load.IdleCPU+q.IdleCPU, r.Load.SpeakingCPU+q.SpeakingCPU
		r.Processes = append(r.Processes, q)
	}
	p.series(r, speaking)
	r.Load.CPUPerSec = r.Load.SpeakingCPU / 100 * 3600 / float64(len(p.streams))
	if n := len(speaking); n > 1 {
		a, b := speaking[0], speaking[n-1]
		seconds := float64(b.At-a.At) / 1e9
		ours := r.Load.SpeakingCPU / 100
		r.Machine.Others = max(0, 100*((b.Busy-a.Busy)/seconds-ours))
		r.Machine.Steal = max(0, 100*(b.Steal-a.Steal)/seconds)
	}
}

// series is CPU and memory over time, and the line through the second half's memory.
func (p *played) series(r *report.Report, speaking []rig.Sample) {
	var x, y []float64
	for i, s := range speaking {
		point := report.Point{Second: float64(s.At-p.streams[0].Zero) / 1e9}
		for _, q := range s.Processes {
			point.RSSMB += float64(q.RSS) / mb
			if i > 0 {
				if before := find(speaking[i-1], q.PID); before != nil {
					point.CPU += 100 * (q.CPUSeconds - before.CPUSeconds) / (float64(s.At-speaking[i-1].At) / 1e9)
				}
			}
		}
		r.Series = append(r.Series, point)
		r.Load.RSSMB, r.Load.RSSMaxMB = point.RSSMB, max(r.Load.RSSMaxMB, point.RSSMB)
		if i >= len(speaking)/2 {
			x, y = append(x, point.Second/3600), append(y, point.RSSMB)
		}
	}
	r.Load.GrowthMB = slope(x, y)
}

func slope(x, y []float64) float64 {
	var mx, my, xy, xx float64
	for i := range x {
		mx, my = mx+x[i]/float64(len(x)), my+y[i]/float64(len(y))
	}
	for i := range x {
		xy, xx = xy+(x[i]-mx)*(y[i]-my), xx+(x[i]-mx)*(x[i]-mx)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

func between(samples []rig.Sample, from, to int64) (out []rig.Sample) {
	for _, s := range samples {
		if s.At >= from && s.At <= to {
			out = append(out, s)
		}
	}
	return out
}

func find(s rig.Sample, pid int) *rig.Process {
	i := slices.IndexFunc(s.Processes, func(p rig.Process) bool { return p.PID == pid })
	if i < 0 {
		return nil
	}
	return &s.Processes[i]
}

// busy is a process's CPU in per cent of one core, from its first to its last sample.
func busy(samples []rig.Sample, pid int) float64 {
	var first, last *rig.Process
	var from, to int64
	for i := range samples {
		if x := find(samples[i], pid); x != nil {
			if first == nil {
				first, from = x, samples[i].At
			}
			last, to = x, samples[i].At
		}
	}
	if first == nil || to == from {
		return 0
	}
	return 100 * (last.CPUSeconds - first.CPUSeconds) / (float64(to-from) / 1e9)
}

func thisMachine() report.Machine {
	cpu, _ := machine.This.CPU() // without it, it is called unnamed
	m := report.Machine{CPU: cpu.Model, Cores: cpu.Cores, Threads: cpu.Threads, Usable: runtime.GOMAXPROCS(0)}
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		m.Memory = float64(info.Totalram) * float64(info.Unit) / mb
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	return m
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// referenceStreams hear each clip once each, with other pauses and frame phases.
const referenceStreams = 4

// reference hears the clips as fast as it goes, cut at 700 ms of silence, each utterance
// alone, and puts the outcome beside the live one.
func reference(ctx context.Context, env lifecycle.Env, o liveOptions, spoken []material.Clip, r *report.Report) error {
	recordings := material.Make(spoken, nil, material.Options{Streams: referenceStreams, Seed: o.seed, Lead: time.Second, Once: true})
	fmt.Fprintln(env.Stderr, "the same clips cut at 700 ms of silence")
	streams, err := fast(ctx, env, with(o.flags, "vad.hangover_ms=700", "vad.eager_hangover_ms=0", "vad.offset_threshold=0.35",
		"stt.context=false", "stt.speculate=false", "stt.interim_interval_ms=0"), o.nats, recordings)
	if err != nil {
		return fmt.Errorf("measuring the reference: %w", err)
	}
	a := measure.Rate(streams)
	r.Reference = &report.Reference{Accuracy: a, Difference: measure.Differ(r.Accuracy, a)}
	return nil
}
