package bench

import (
	"runtime"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/machine"
	"golang.org/x/sys/unix"
)

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
			reason := value(label)
			r.Load.Shed[reason] = v
			if report.Draft(reason) {
				r.Load.ShedDrafts += v
			}
		}
		if label, ok := strings.CutPrefix(key, "rtap_speculation_total{"); ok {
			r.Speculation.Outcomes[value(label)] = v
		}
	}
	r.Speculation.WastedSeconds = grown.Counters["rtap_speculation_wasted_seconds_total"]
	r.Storage = p.storage
	for key, v := range p.highest {
		if strings.HasPrefix(key, "rtap_buffer_utilization_ratio{") && (r.Load.Buffer == nil || v > *r.Load.Buffer) {
			r.Load.Buffer = &v
		}
	}
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
