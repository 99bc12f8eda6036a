package bench

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
)

const legend = `WER: word errors per 100 words, with the range that holds the rate with 95 % certainty
p50, p95: ms per clip   RTF: time spent / time spoken   MB: memory of a copy, of each further one
`

// table prints a line for each model, and then what was invented and what failed.
func table(out io.Writer, res result) error {
	m := res.Machine
	fmt.Fprintf(out, "%s: %d cores, %d threads, %d usable\n", report.Named(m.CPU), m.Cores, m.Threads, m.Usable)
	for _, r := range res.Models {
		if r.Report != nil {
			fmt.Fprintf(out, "%d clips, %.0f s of speech, %d words, %d times\n", r.Clips, r.AudioSeconds, r.Words, r.Runs)
			break
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nENGINE\tMODEL\tFORM\tTHREADS\tWER\tP50\tP95\tRTF\tMB\tLOAD MS\tNOISE S\tINVENTED")
	for _, r := range res.Models {
		if r.Report == nil {
			fmt.Fprintf(w, "-\t%s\t%s\tfailed\t\t\t\t\t\t\t\t\n", r.Name, r.Form)
			continue
		}
		further := "-"
		if r.CopyMB > 0 {
			further = fmt.Sprintf("%.0f", r.CopyMB)
		}
		invented := "-"
		if r.NoiseSegments > 0 {
			invented = fmt.Sprintf("%d of %d", r.NoiseTexts, r.NoiseSegments)
		}
		fmt.Fprintf(w, "%s %s\t%s\t%s\t%d\t%.1f (%.1f-%.1f)\t%.0f\t%.0f\t%.3f\t%.0f, %s\t%.0f\t%.0f\t%s\n",
			r.Engine, r.Version, r.Model, r.Dtype, r.Threads, 100*r.WER, 100*r.Interval[0], 100*r.Interval[1],
			r.P50MS, r.P95MS, r.RTF, r.MemoryMB, further, r.LoadMS, r.NoiseSeconds, invented)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s", legend)
	for _, r := range res.Models {
		notes(out, r)
	}
	return nil
}

// notes says what a line of the table has no room for.
func notes(out io.Writer, r row) {
	if r.Err != "" {
		fmt.Fprintf(out, "%s: %s\n", r.subject, r.Err)
	}
	if r.Report == nil {
		return
	}
	if len(r.Unheard) > 0 {
		fmt.Fprintf(out, "%s: clips without a text: %s\n", r.subject, counts(r.Unheard))
	}
	if c := r.Confidence; c.Wrong > 0 {
		fmt.Fprintf(out, "%s: confidence of %d right words %.2f, of %d wrong ones %.2f (clean and in noise); a right one scores higher in %.0f %% of pairs\n",
			r.subject, c.Right, c.RightMean, c.Wrong, c.WrongMean, 100*c.AUC)
	}
	if w := r.WordTimes; w.Edges > 0 {
		how := "aligned"
		if w.Estimated {
			how = "estimated"
		}
		fmt.Fprintf(out, "%s: times of words, %s, off by p50 %.0f, p95 %.0f ms at %d known edges of silences\n", r.subject, how, w.P50MS, w.P95MS, w.Edges)
	}
	if len(r.NoiseDropped) > 0 {
		fmt.Fprintf(out, "%s: noise dropped as %s\n", r.subject, counts(r.NoiseDropped))
	}
	for _, i := range r.Invented {
		fmt.Fprintf(out, "%s: invented %q (%.2f) for %.1f s of %s, peak %g, seed %d\n",
			r.subject, i.Text, i.Confidence, float64(i.Samples)/16000, i.Kind, i.Peak, i.Seed)
	}
}

// counts lists whole figures by their names.
func counts[T int | float64](of map[string]T) string {
	if len(of) == 0 {
		return "nothing"
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, fmt.Sprintf("%s %.0f", name, float64(of[name])))
	}
	return strings.Join(out, ", ")
}
