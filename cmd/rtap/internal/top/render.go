package top

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// render writes a report as text, the same for a terminal and for `--once`.
func (r Report) render(w io.Writer) {
	fmt.Fprintf(w, "RTAP  %s  %s\n", r.At.Format(time.TimeOnly), r.Server.line())
	r.processes(w)
	r.streams(w)
	r.queues(w)
	var buffers []string
	for _, stage := range slices.Sorted(maps.Keys(r.Buffers)) {
		buffers = append(buffers, fmt.Sprintf("%s %.0f %%", stage, 100*r.Buffers[stage]))
	}
	if len(buffers) == 0 {
		buffers = []string{"not known"}
	}
	fmt.Fprintf(w, "\nbuffers full   %s\nshed           %s\nerrors         %s\n", strings.Join(buffers, ", "), sorted(r.Shed), sorted(r.Errors))
}

func (s Server) line() string {
	if s.Version == "" {
		return "nats does not answer: " + s.Problem
	}
	line := fmt.Sprintf("nats %s at %s, round trip %.1f ms, %s on disk, %s in memory", s.Version, s.URL, s.RoundTripMS, size(s.StoredBytes), size(s.MemoryBytes))
	if s.Problem != "" {
		line += ", " + s.Problem
	}
	return line
}

func (r Report) processes(w io.Writer) {
	const row = "%-9s %-24s %-9s %7s %9s %9s  %s\n"
	fmt.Fprintf(w, "\n"+row, "PROCESS", "INSTANCE", "STATE", "CPU %", "MEMORY", "UP", "")
	cpu, memory := 0.0, uint64(0)
	for _, p := range r.Processes {
		cpu, memory = cpu+p.CPU, memory+p.MemoryBytes
		var more []string
		if p.Model != "" {
			more = append(more, p.Model)
		}
		if p.Streams > 0 {
			more = append(more, plural(p.Streams, "stream"))
		}
		if !p.Ready {
			more = append(more, "not ready")
		}
		more = append(more, p.Reasons...)
		fmt.Fprintf(w, row, p.Service, p.Instance, p.State, fmt.Sprintf("%.1f", p.CPU), size(p.MemoryBytes),
			age(p.UptimeSeconds), strings.Join(more, "; "))
	}
	if len(r.Processes) == 0 {
		fmt.Fprintln(w, "no process answers")
		return
	}
	fmt.Fprintf(w, row, "all", "", "", fmt.Sprintf("%.1f", cpu), size(memory), "", "")
}

func (r Report) streams(w io.Writer) {
	const row = "%-24s %8s  %15s  %18s  %15s\n"
	fmt.Fprintf(w, "\n"+row, "STREAM", "FINALS", "PIPELINE ms", "SPEECH END→TEXT ms", "INTERIM ms")
	fmt.Fprintf(w, row, "", "", "p50 / p95", "p50 / p95", "p50 / p95")
	for _, s := range r.Streams {
		fmt.Fprintf(w, row, s.ID, strconv.FormatUint(s.Finals, 10), s.Pipeline, s.Final, s.Interim)
	}
	if len(r.Streams) == 0 {
		fmt.Fprintln(w, "no finals yet")
	}
}

// String reads like "40 / 95".
func (q Quantiles) String() string {
	if q.P50 < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f / %.0f", q.P50, q.P95)
}

func (r Report) queues(w io.Writer) {
	const row = "%-24s %10s %10s %10s %10s %10s\n"
	fmt.Fprintf(w, "\n"+row, "QUEUE", "MESSAGES", "SIZE", "PENDING", "PER SECOND", "OLDEST")
	for _, q := range r.Queues {
		fmt.Fprintf(w, row, q.Name, strconv.FormatUint(q.Messages, 10), size(q.Bytes), strconv.FormatUint(q.Pending, 10), fmt.Sprintf("%.1f", q.Rate), q.oldest())
	}
	if len(r.Queues) == 0 {
		fmt.Fprintln(w, "none can be seen")
	}
}

// oldest is the age of its oldest message; below a minute in seconds, since that is where a queue's matters.
func (q Queue) oldest() string {
	switch {
	case q.Messages == 0:
		return "-"
	case q.OldestSeconds < 60:
		return fmt.Sprintf("%.1fs", q.OldestSeconds)
	default:
		return age(q.OldestSeconds)
	}
}

func whole(x float64) string { return strconv.FormatFloat(x, 'f', 0, 64) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	default:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
}

// age is a time in its two largest units.
func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%02dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	}
}
