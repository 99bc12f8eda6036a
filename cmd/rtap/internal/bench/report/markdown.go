package report

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Markdown prints goals and latencies as tables for a document.
func (r *Report) Markdown(out io.Writer) error {
	m, s := r.Machine, r.Setup
	var err error
	line := func(format string, args ...any) {
		_, e := fmt.Fprintf(out, format+"\n", args...)
		err = errors.Join(err, e)
	}
	line("%s, %d cores, %d usable, Linux %s; fsync p50 %.2f, p95 %.2f ms; other programs %.0f %% of a core. rtap %s, %s.",
		Named(m.CPU), m.Cores, m.Usable, m.Kernel, r.Fsync.P50, r.Fsync.P95, m.Others, r.Version, r.At.Format("2006-01-02"))
	line("%d streams via %s, %d recogniser processes, %s, profile %s, interims %s, %.0f s each; %d utterances.\n",
		s.Streams, s.Via, s.STT, Named(s.Model), s.Profile, OnOff(s.Interims), s.Seconds, r.Utterances)
	line("| goal | wanted | found | verdict |\n|---|---|---|---|")
	for _, g := range r.Goals {
		line("| %s | %s | %s | %s |", g.Name, g.Goal, g.Figure, g.Verdict)
	}
	line("\n| latency, ms | n | p50 | p95 | p99 |\n|---|---|---|---|---|")
	for _, l := range r.latencies() {
		if l.d.N > 0 {
			line("| %s | %d | %.1f | %.1f | %.1f |", strings.TrimSpace(l.name), l.d.N, l.d.P50, l.d.P95, l.d.P99)
		}
	}
	a, e := r.Accuracy, r.Ends
	line("\nWords: %d of %d wrong, %.1f %% (%.1f-%.1f). Segments: %d, forced cuts %d, closed inside labelled speech %d. CPU %.0f %%, memory %.0f MB.",
		a.Errors, a.Words, 100*a.Rate, 100*a.Range[0], 100*a.Range[1], e.Segments, e.Forced, e.Inside, r.Load.SpeakingCPU, r.Load.RSSMaxMB)
	return err
}
