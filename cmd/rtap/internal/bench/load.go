package bench

import (
	"slices"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
)

const mb = 1 << 20

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
		q := process(names[pid], pid, idle, speaking)
		r.Load.IdleCPU, r.Load.SpeakingCPU = r.Load.IdleCPU+q.IdleCPU, r.Load.SpeakingCPU+q.SpeakingCPU
		r.Processes = append(r.Processes, q)
	}
	p.series(r, speaking)
	r.Load.CPUHour = r.Load.SpeakingCPU / 100 * 3600 / float64(len(p.streams))
	if n := len(speaking); n > 1 {
		a, b := speaking[0], speaking[n-1]
		seconds := float64(b.At-a.At) / 1e9
		ours := r.Load.SpeakingCPU/100 + (b.Self-a.Self)/seconds
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

// process is one process's share: idle and speaking.
func process(name string, pid int, idle, speaking []rig.Sample) report.Process {
	q := report.Process{Name: name}
	if a, b, seconds := ends(idle, pid); seconds > 0 {
		q.IdleCPU = 100 * (b.CPUSeconds - a.CPUSeconds) / seconds
	}
	if a, b, seconds := ends(speaking, pid); seconds > 0 {
		q.SpeakingCPU = 100 * (b.CPUSeconds - a.CPUSeconds) / seconds
		q.RSSStartMB, q.RSSEndMB = float64(a.RSS)/mb, float64(b.RSS)/mb
		q.ReadKB, q.WrittenKB = float64(b.Read-a.Read)/1000/seconds, float64(b.Written-a.Written)/1000/seconds
		q.DiskKB = float64(b.Disk-a.Disk) / 1000 / seconds
	}
	for _, s := range speaking {
		if x := find(s, pid); x != nil {
			q.RSSMaxMB = max(q.RSSMaxMB, float64(x.RSS)/mb)
		}
	}
	return q
}

// ends are a process at its first and its last sample, and the time between them.
func ends(samples []rig.Sample, pid int) (first, last *rig.Process, seconds float64) {
	var from, to int64
	for i := range samples {
		if x := find(samples[i], pid); x != nil {
			if first == nil {
				first, from = x, samples[i].At
			}
			last, to = x, samples[i].At
		}
	}
	return first, last, float64(to-from) / 1e9
}
