package profile

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/control"
)

// memory is what one process takes at one moment, in bytes.
type memory struct {
	resident, heap int64
	goroutines     int
	functions      map[string]int64 // bytes in use by what allocated them
}

// watch prints a line for each process again and again, against the first look: what
// grows there and does not come back is a leak, and the function says whose.
func watch(ctx context.Context, w io.Writer, o options, targets []control.Target) error {
	fmt.Fprintf(w, "%-8s  %-28s %10s %10s  %10s %10s  %10s  %s\n", "time", "process", "resident", "grown", "Go heap", "grown", "goroutines", "grown most")
	first := map[string]memory{}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for n := 1; ; n++ {
		all, err := take(ctx, o, targets)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was watched for as long as was wanted
		}
		for i, t := range all {
			if t.err != nil {
				fmt.Fprintf(w, "%s  %-28s %v\n", time.Now().Format(time.TimeOnly), t.name, t.err)
				continue
			}
			now := measure(ctx, targets[i], t)
			if _, seen := first[t.name]; !seen {
				first[t.name] = now
			}
			fmt.Fprintln(w, now.line(time.Now(), t.name, first[t.name]))
		}
		if n == o.count {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func measure(ctx context.Context, target control.Target, t taken) memory {
	root, _ := tree([]taken{t}, kinds["heap"].value)
	m := memory{heap: root.total, functions: map[string]int64{}}
	for _, r := range root.functions() {
		m.functions[r.name] = r.self
	}
	// Without its metrics the rest still stands.
	if metrics, err := running.Metrics(ctx, target); err == nil {
		resident, _ := metrics.Value("process_resident_memory_bytes")
		goroutines, _ := metrics.Value("go_goroutines")
		m.resident, m.goroutines = int64(resident), int(goroutines)
	}
	return m
}

func (m memory) line(at time.Time, name string, first memory) string {
	most, grown := "", int64(0)
	for f, n := range m.functions {
		if d := n - first.functions[f]; d > grown || d == grown && d > 0 && f < most {
			most, grown = f, d
		}
	}
	if most != "" {
		most = fmt.Sprintf("+%s %s", bytesText(grown), most)
	}
	return fmt.Sprintf("%s  %-28s %10s %10s  %10s %10s  %10d  %s", at.Format(time.TimeOnly), name,
		bytesText(m.resident), signed(m.resident-first.resident), bytesText(m.heap), signed(m.heap-first.heap), m.goroutines, most)
}

func signed(n int64) string {
	if n >= 0 {
		return "+" + bytesText(n)
	}
	return bytesText(n)
}
