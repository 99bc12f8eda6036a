package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
)

//go:embed page.html
var pageSource string

var page = template.Must(template.New("page").Parse(pageSource))

// chart is a drawing with what it shows.
type chart struct {
	Title, Note string
	SVG         template.HTML // made by this package of numbers alone
}

// Page writes the report as one HTML file that needs nothing else.
func (r *Report) Page(out io.Writer) error {
	var details bytes.Buffer
	r.details(&details)
	type row struct {
		Name          string
		N             int
		P50, P95, P99 string
		Max, CI       string
	}
	var rows []row
	for _, l := range r.latencies() {
		if d := l.d; d.N > 0 {
			rows = append(rows, row{l.name, d.N, short(d.P50), short(d.P95), short(d.P99), short(d.Max), short(d.CI95[0]) + " to " + short(d.CI95[1])})
		}
	}
	err := page.Execute(out, map[string]any{
		"R": r, "Latencies": rows, "Details": details.String(), "Histograms": r.histograms(), "Plots": r.plots(), "Least": Least,
		"At": r.At.Format("2006-01-02 15:04 MST"),
	})
	if err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}

func short(x float64) string { return fmt.Sprintf("%.1f", x) }

// histograms of every kind of latency that has single figures.
func (r *Report) histograms() []chart {
	var ttfs []float64
	for _, e := range r.Ends.TTFS {
		ttfs = append(ttfs, e.MS)
	}
	limit := 50.0
	ttfsGoal := 280.0
	if r.Setup.Streams > 1 {
		limit, ttfsGoal = 150, 400
	}
	var out []chart
	for _, h := range []struct {
		title string
		d     measure.Distribution
		all   []float64
		goal  float64
	}{
		{"End of speech to final (TTFS), ms", r.Latency.TTFS, ttfs, ttfsGoal},
		{"Closing frame to final (pipeline), ms", r.Latency.Pipeline, r.Ends.Pipeline, limit},
		{"Word spoken to first text with it, ms", r.Latency.Interim, r.Words.First, 600},
		{"Word spoken to committed text with it, ms", r.Latency.Committed, r.Words.Committed, 0},
	} {
		if h.d.N == 0 || len(h.all) == 0 {
			continue
		}
		note := fmt.Sprintf("%d figures, p50 %.0f, p95 %.0f, p99 %.0f", h.d.N, h.d.P50, h.d.P95, h.d.P99)
		if h.goal > 0 {
			note += fmt.Sprintf("; the goal for p95 is %.0f", h.goal)
		}
		out = append(out, chart{h.title, note, histogram(h.all, h.d, h.goal)})
	}
	return out
}

// plots over the time of the run.
func (r *Report) plots() []chart {
	var ttfs, cpu, rss []dot
	for _, e := range r.Ends.TTFS {
		ttfs = append(ttfs, dot{e.Second, e.MS})
	}
	for i, p := range r.Series {
		if i > 0 {
			cpu = append(cpu, dot{p.Second, p.CPU})
		}
		rss = append(rss, dot{p.Second, p.RSSMB})
	}
	return []chart{
		{"End of speech to final over time, ms", "one dot for each utterance; seconds of audio", scatter(ttfs, r.Latency.TTFS.P99)},
		{"Memory of all processes over time, MB", "resident; libraries that processes share count in each", line(rss)},
		{"CPU of all processes over time, % of a core", "one figure a second", line(cpu)},
	}
}
