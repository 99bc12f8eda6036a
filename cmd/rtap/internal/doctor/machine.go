package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/machine"
)

// Engine is what `rtap-stt engines` says of one engine.
type Engine struct {
	Name, Version, GPU string
	Missing            []string `json:"missing_cpu_features"`
}

// CPU are the facts about cores and engines.
type CPU struct {
	Cores      int
	Limit      float64 // of the container or unit, in cores; 0 for none
	Engines    []Engine
	EnginesErr error
}

func (s *Site) cpu(ctx context.Context) []Finding {
	c := CPU{Cores: runtime.NumCPU()}
	c.Limit, _ = s.Host.CPULimit()
	raw, err := s.ask(ctx, "rtap-stt", "engines")
	if err == nil {
		err = json.Unmarshal(raw, &c.Engines)
	}
	c.EnginesErr = err
	return c.Findings()
}

// Findings judges the facts.
func (c CPU) Findings() []Finding {
	cores := Finding{Name: "cpu", Status: OK, Detail: fmt.Sprintf("%d cores", c.Cores)}
	if c.Cores == 1 {
		cores.Detail = "1 core"
	}
	have := float64(c.Cores)
	if c.Limit > 0 && c.Limit < have {
		have = c.Limit
		cores.Detail += fmt.Sprintf(", of which the container's limit leaves %.2g", c.Limit)
	}
	if have < 1 {
		cores.Status, cores.Advice = Warn, "give it a whole core or more (`docker run --cpus 2`, limits.cpu): while a limit holds it back, every text waits"
	}
	out := []Finding{cores}
	if c.EnginesErr != nil {
		return append(out, Finding{"engines", Warn, "cannot be listed: " + c.EnginesErr.Error(), "see to rtap-stt first"})
	}
	var names []string
	for _, e := range c.Engines {
		names = append(names, e.Name+" "+e.Version)
		if e.GPU != "" {
			names[len(names)-1] += " on " + e.GPU
		}
		if len(e.Missing) > 0 {
			out = append(out, Finding{"engines", Warn, fmt.Sprintf("%s was built for CPU features that are not here: %s", e.Name, strings.Join(e.Missing, ", ")),
				"build on this machine with WHISPER_NATIVE=1, or use another engine's models"})
		}
	}
	if len(out) == 1 {
		out = append(out, Finding{"engines", OK, strings.Join(names, ", "), ""})
	}
	return out
}

// Memory are the facts about memory, in bytes, and about the container.
type Memory struct {
	Free      int64
	BoundBy   string
	Err       error
	Limit     int64 // 0 for none
	Container string
}

func (s *Site) memory(context.Context) []Finding {
	var m Memory
	m.Free, m.BoundBy, m.Err = s.Host.AvailableMemory()
	m.Limit, _ = s.Host.MemoryLimit()
	m.Container = s.Host.Container()
	return m.Findings()
}

// Findings judges the facts. The whole stack takes up to 400 MB with a small model.
func (m Memory) Findings() []Finding {
	memory := Finding{Name: "memory", Status: OK}
	const advice = "free some, or raise the limit (`docker run --memory`, limits.memory, MemoryMax): the whole of RTAP takes about 400 MB with a small model"
	switch {
	case m.Err != nil:
		memory.Status, memory.Detail = Info, m.Err.Error()
	case m.Free < 200<<20:
		memory.Status, memory.Advice = Fail, advice
	case m.Free < 500<<20:
		memory.Status, memory.Advice = Warn, advice
	}
	if m.Err == nil {
		memory.Detail = fmt.Sprintf("%d MB free, bound by %s", m.Free>>20, m.BoundBy)
	}
	if m.Limit > 0 {
		memory.Detail += fmt.Sprintf("; limit %d MB", m.Limit>>20)
	}
	container := Finding{Name: "container", Status: Info, Detail: "none that shows"}
	if m.Container != "" {
		container.Detail = m.Container + ": devices, ports and limits are those that it was given"
	}
	return []Finding{memory, container}
}

// Clock are the facts about both clocks.
type Clock struct {
	Now, Built   time.Time
	Step         time.Duration // by which the monotonic clock went on during a short pause
	Synchronised bool
	Err          error // why the kernel does not tell
}

func (s *Site) clock(context.Context) []Finding {
	c := Clock{Now: time.Now(), Built: built()}
	time.Sleep(2 * time.Millisecond)
	c.Step = time.Since(c.Now)
	c.Synchronised, c.Err = machine.ClockSynchronised()
	return c.Findings()
}

// built is when this program's source was last changed, or a day on which it was not there.
func built() time.Time {
	least := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return least
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, setting.Value); err == nil && t.After(least) {
				return t
			}
		}
	}
	return least
}

// Findings judges the facts.
func (c Clock) Findings() []Finding {
	const name, service = "clock", "turn a time service on: `timedatectl set-ntp true` (of the host, for a container)"
	now := c.Now.UTC().Format("2006-01-02 15:04:05 MST")
	switch {
	case c.Step <= 0:
		return []Finding{{name, Fail, "the monotonic clock stands still", "no latency can be measured on this machine; move RTAP to another host or virtual machine"}}
	case c.Now.Before(c.Built.Add(-24 * time.Hour)): // a day, for those who build in another time zone on a drifting clock
		return []Finding{{name, Fail, fmt.Sprintf("it is %s, before this program was made (%s)", now, c.Built.UTC().Format(time.DateOnly)),
			service + ": ages of streams and certificates go by it"}}
	case c.Err != nil:
		return []Finding{{name, Info, fmt.Sprintf("it is %s; whether it is synchronised does not show (%v)", now, c.Err), ""}}
	case !c.Synchronised:
		return []Finding{{name, Warn, fmt.Sprintf("it is %s, but it is not synchronised", now),
			service + "; latencies within this host are right, those between hosts are not"}}
	}
	return []Finding{{name, OK, "synchronised, " + now, ""}}
}

func (s *Site) openFiles(context.Context) []Finding { return JudgeOpenFiles(machine.OpenFiles()) }

// JudgeOpenFiles judges how many files and sockets a process may open.
func JudgeOpenFiles(limit uint64, err error) []Finding {
	const name, least = "open files", 1024
	switch {
	case err != nil:
		return []Finding{{name, Info, err.Error(), ""}}
	case limit < least:
		return []Finding{{name, Warn, fmt.Sprintf("a process may open %d only", limit), "`ulimit -n 65536` before the start, LimitNOFILE= in the unit, or --ulimit nofile=65536 for a container: each client and each file of JetStream takes one"}}
	}
	return []Finding{{name, OK, fmt.Sprintf("up to %d in one process", limit), ""}}
}
