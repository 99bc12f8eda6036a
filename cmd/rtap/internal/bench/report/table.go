package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
)

// otherCPU in per cent of a core from which on the figures are called disturbed.
const otherCPU = 20

// Text prints the whole report for a terminal.
func (r *Report) Text(out io.Writer) error {
	m, s := r.Machine, r.Setup
	fmt.Fprintf(out, "rtap %s, %s\n%s: %d cores, %d threads, %d usable; %.0f MB; Linux %s\n",
		r.Version, r.At.Format("2006-01-02 15:04 MST"), Named(m.CPU), m.Cores, m.Threads, m.Usable, m.Memory, m.Kernel)
	fmt.Fprintf(out, "%d streams via %s, %d recognisers, %s, profile %s, interims %s, %.0f s each; settings %v\n",
		s.Streams, s.Via, s.STT, Named(s.Model), s.Profile, OnOff(s.Interims), s.Seconds, s.Settings)
	fmt.Fprintf(out, "%d utterances, %.0f s of speech; fsync of the disk p50 %.2f, p95 %.2f ms\n",
		r.Utterances, s.SpeechSeconds, r.Fsync.P50, r.Fsync.P95)
	if !r.Publishable {
		fmt.Fprintf(out, "NOT FOR PUBLICATION: fewer than %d utterances\n", Least)
	}
	if m.Others > otherCPU || m.Steal > otherCPU {
		fmt.Fprintf(out, "DISTURBED: other programs took %.0f %% of a core, other virtual machines %.0f %%\n", m.Others, m.Steal)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nGOAL\tWANTED\tFOUND\tVERDICT")
	for _, g := range r.Goals {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", g.Name, g.Goal, g.Figure, g.Verdict)
	}
	fmt.Fprintln(w, "\nLATENCY, MS\tN\tP50\tP95\tP99\tMAX\tP50 RANGE\tP95 RANGE")
	for _, l := range r.latencies() {
		if d := l.d; d.N > 0 {
			fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f-%.1f\t%.1f-%.1f\n", l.name, d.N, d.P50, d.P95, d.P99, d.Max, d.CI50[0], d.CI50[1], d.CI95[0], d.CI95[1])
		}
	}
	fmt.Fprintln(w, "\nPROCESS\tCPU IDLE %\tCPU SPEAKING %\tMB START\tMB END\tMB MOST\tKB/S READ\tWRITTEN\tTO DISK")
	for _, p := range r.Processes {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\n", p.Name, p.IdleCPU, p.SpeakingCPU, p.RSSStartMB, p.RSSEndMB, p.RSSMaxMB, p.ReadKB, p.WrittenKB, p.DiskKB)
	}
	fmt.Fprintf(w, "all\t%.1f\t%.1f\t\t%.0f\t%.0f\n", r.Load.IdleCPU, r.Load.SpeakingCPU, r.Load.RSSMB, r.Load.RSSMaxMB)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	r.details(out)
	return nil
}

type latency struct {
	name string
	d    measure.Distribution
}

func (r *Report) latencies() []latency {
	l := r.Latency
	return []latency{
		{"pipeline: closing frame captured to final read", l.Pipeline}, {"TTFS: end of speech captured to final read", l.TTFS},
		{"  ends by hand-made labels", l.TTFSHand}, {"  ends by the energy rule", l.TTFSRule},
		{"closing: end of speech to closing, audio time", l.Closing},
		{"interim: word spoken to first text with it", l.Interim}, {"  to the committed part with it", l.Committed},
		{"decoding a final", l.Decode}, {"waiting of a final", l.Queue}, {"transport alone", l.Transport},
	}
}

func (r *Report) details(out io.Writer) {
	a, e, i, s := r.Accuracy, r.Ends, r.Words, r.Speculation
	fmt.Fprintf(out, "\nwords: %d of %d wrong, %.1f %% (%.1f-%.1f by recordings drawn): %d replaced, %d missing, %d added\n",
		a.Errors, a.Words, 100*a.Rate, 100*a.Range[0], 100*a.Range[1], a.Replaced, a.Missing, a.Added)
	if ref := r.Reference; ref != nil {
		fmt.Fprintf(out, "  the same model on utterances cut at 700 ms: %d of %d, %.1f %%\n", ref.Errors, ref.Words, 100*ref.Rate)
	}
	fmt.Fprintf(out, "ends of speech: %d; without any text %d, without one of its end %d, closed only after speech went on %d\n",
		e.Expected, e.Unheard, e.TailUnheard, e.RunOn)
	fmt.Fprintf(out, "segments: %d; closed by a sentence end %d, forced cuts %d, closed inside labelled speech %d, texts where nobody speaks %d\n",
		e.Segments, e.Eager, e.Forced, e.Inside, e.NoSpeech)
	fmt.Fprintf(out, "interims: %d; of %d words %d were first seen in the final, %d committed only by it; %d committed words taken back by a later interim, %d by the final; %d of %d shown words changed\n",
		i.Count, i.Words, i.ByFinal, i.CommittedByFinal, i.Retracted-i.RetractedByFinal, i.RetractedByFinal, i.Changed, i.Shown)
	if i.Estimated > 0 {
		fmt.Fprintf(out, "  the times of %d words are spread over the labelled speech by their letters: the recogniser does not align them\n", i.Estimated)
	}
	share := 0.0
	if s.Finals > 0 {
		share = 100 * float64(s.Hits) / float64(s.Finals)
	}
	fmt.Fprintf(out, "speculation: %d of %d finals decoded before they closed (%.0f %%), %.1f s of inference wasted%s\n", s.Hits, s.Finals, share, s.WastedSeconds, list(s.Outcomes))
	fmt.Fprintf(out, "context of finals: %s\n", some(r.counted("rtap_stt_context_total")))
	l := r.Load
	fmt.Fprintf(out, "work: real-time factor %.3f, %.0f s of CPU an hour of a stream (%.1f %% of a core)\n", l.RTF, l.CPUHour, l.CPUHour/36)
	growth := "too short a run to tell growth"
	if r.Setup.Seconds >= tellGrowth {
		growth = fmt.Sprintf("%+.1f MB an hour over its second half", l.GrowthMB)
	}
	fmt.Fprintf(out, "memory: %.0f MB at most, %.0f at the end; %s\n", l.RSSMaxMB, l.RSSMB, growth)
	fmt.Fprintf(out, "drafts shed: %.0f%s\n", l.ShedDrafts, list(l.shed(Draft)))
	fmt.Fprintf(out, "texts dropped: %s\n", some(l.shed(dropped)))
	fmt.Fprintf(out, "other work given up: %s\n", some(l.shed(func(reason string) bool { return !Draft(reason) && !dropped(reason) })))
	x := r.Loss
	fmt.Fprintf(out, "order: %d holes, %d doubled, %d out of order, %d in the log but not delivered, %d streams without an end, %d processes died\n",
		x.Holes, x.Doubled, x.OutOfOrder, x.Undelivered, x.Unended, x.Dead)
	fmt.Fprintf(out, "errors: %s\n", some(r.counted("rtap_errors_total")))
}

func list(m map[string]float64) (out string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] != 0 {
			out += fmt.Sprintf("; %s %.0f", k, m[k])
		}
	}
	return out
}

// some lists what there is of figures, or says that there is none.
func some(m map[string]float64) string {
	if out := list(m); out != "" {
		return strings.TrimPrefix(out, "; ")
	}
	return "none"
}

// Named is s, or a word for having none.
func Named(s string) string {
	if s == "" {
		return "unnamed"
	}
	return s
}

// OnOff is a switch in words.
func OnOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
