package report_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
)

// around makes figures about a middle, the same for the same seed.
func around(middle float64, n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]float64, n)
	for i := range out {
		out[i] = middle * (0.8 + 0.4*r.Float64())
	}
	return out
}

// good is a run that reaches every goal.
func good() *report.Report {
	ttfs := around(170, 1000, 1)
	r := &report.Report{
		Schema: report.Schema, At: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC), Version: "v1", StartMS: 1500, Utterances: 1000, Publishable: true,
		Machine: report.Machine{CPU: "Good CPU", Cores: 2, Threads: 2, Usable: 2}, Setup: report.Setup{Streams: 1, STT: 1, Interims: true, Seconds: 900},
		Latency: report.Latency{
			Pipeline: measure.Distribute(around(20, 1000, 2)), TTFS: measure.Distribute(ttfs), Interim: measure.Distribute(around(150, 1000, 3)),
			Transport: measure.Distribute(around(3, 400, 4)),
		},
		Load: report.Load{IdleCPU: 4, SpeakingCPU: 30, RSSMB: 300, RSSMaxMB: 310, GrowthMB: 2, Buffer: new(float64), VADMS: measure.Distribution{N: 10, P50: .3, Mean: .3}},
		Accuracy: measure.Accuracy{
			Words: 100, Errors: 3, Rate: .03, Clips: map[string]measure.Cluster{"a": {Errors: 1, Words: 50}, "b": {Errors: 2, Words: 50}},
			Once: map[string]int{"a": 50, "b": 50},
		},
		Series: []report.Point{{Second: 1, CPU: 20, RSSMB: 300}, {Second: 2, CPU: 25, RSSMB: 301}},
	}
	for i, x := range ttfs {
		r.Ends.TTFS = append(r.Ends.TTFS, measure.End{Second: float64(i), MS: x})
	}
	r.Ends.Pipeline, r.Ends.Segments = around(20, 1000, 2), 1000
	r.Words.First = around(150, 1000, 3)
	r.Reference = &report.Reference{Accuracy: measure.Accuracy{Words: 100, Errors: 4, Rate: .04}, Difference: measure.Difference{Rate: .03, Other: .04, Range: [2]float64{-.02, .01}}}
	return r
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		change  func(r *report.Report)
		goal    string
		verdict string
	}{
		"pipeline":            {func(r *report.Report) { r.Latency.Pipeline.P95 = 51 }, "pipeline latency", report.Missed},
		"median":              {func(r *report.Report) { r.Latency.TTFS.P50 = 201 }, "speech end to final (TTFS)", report.Missed},
		"tail":                {func(r *report.Report) { r.Latency.TTFS.P95 = 281 }, "speech end to final (TTFS)", report.Missed},
		"interims":            {func(r *report.Report) { r.Latency.Interim.P95 = 601 }, "interim latency", report.Missed},
		"transport":           {func(r *report.Report) { r.Latency.Transport.P99 = 5.1 }, "transport alone", report.Missed},
		"transport not there": {func(r *report.Report) { r.Latency.Transport = measure.Distribution{} }, "transport alone", report.Unmeasured},
		"worse by noise": {func(r *report.Report) {
			r.Reference.Difference = measure.Difference{Rate: .05, Other: .04, Range: [2]float64{-.01, .03}}
		}, "accuracy", report.Noise},
		"worse": {func(r *report.Report) {
			r.Reference.Difference = measure.Difference{Rate: .05, Other: .04, Range: [2]float64{.005, .03}}
		}, "accuracy", report.Missed},
		"nothing to compare":    {func(r *report.Report) { r.Reference = nil }, "accuracy", report.Unmeasured},
		"idle":                  {func(r *report.Report) { r.Load.IdleCPU = 7 }, "CPU, one stream, idle", report.Missed},
		"speaking":              {func(r *report.Report) { r.Load.SpeakingCPU = 41 }, "CPU, one stream, speaking, with interims", report.Missed},
		"speaking, no interims": {func(r *report.Report) { r.Setup.Interims = false }, "CPU, one stream, speaking, without interims", report.Missed},
		"memory":                {func(r *report.Report) { r.Load.RSSMaxMB = 401 }, "memory, one stream", report.Missed},
		"memory grows":          {func(r *report.Report) { r.Load.GrowthMB = 30 }, "memory over time", report.Missed},
		"memory of many grows":  {func(r *report.Report) { r.Setup.Streams, r.Load.GrowthMB = 4, 60 }, "memory over time", report.Missed},
		"memory of many":        {func(r *report.Report) { r.Setup.Streams, r.Load.RSSMaxMB = 4, 600 }, "memory over time", report.Reached},
		"memory, too short":     {func(r *report.Report) { r.Setup.Seconds, r.Load.GrowthMB = 599, 60 }, "memory over time", report.Unmeasured},
		"memory not seen":       {func(r *report.Report) { r.Load.RSSMB = 0 }, "memory over time", report.Unmeasured},
		"not in this run":       {func(*report.Report) {}, "CPU, one stream, speaking, without interims", report.Unmeasured},
		"in the other run": {func(r *report.Report) {
			r.Setup.Interims, r.Latency.Interim = false, measure.Distribution{}
		}, "CPU, one stream, speaking, with interims", report.Unmeasured},
		"no interims": {func(r *report.Report) { r.Setup.Interims = false }, "interim latency", report.Unmeasured},
		"start":       {func(r *report.Report) { r.StartMS = 2001 }, "start", report.Missed},
		"voice":       {func(r *report.Report) { r.Load.VADMS.P50 = .4 }, "voice detection", report.Missed},
		"growing": {func(r *report.Report) {
			for i := range r.Ends.TTFS {
				r.Ends.TTFS[i].MS += float64(i)
			}
		}, "TTFS over time", report.Missed},
		"too short to grow": {func(r *report.Report) { r.Setup.Seconds = 300 }, "TTFS over time", report.Unmeasured},
		"lost":              {func(r *report.Report) { r.Loss.Holes = 1 }, "loss", report.Missed},
		"out of order":      {func(r *report.Report) { r.Loss.OutOfOrder = 1 }, "loss", report.Missed},
		"buffer":            {func(r *report.Report) { *r.Load.Buffer = .9 }, "buffer utilisation", report.Missed},
		"buffer not seen":   {func(r *report.Report) { r.Load.Buffer = nil }, "buffer utilisation", report.Unmeasured},
		"many streams":      {func(r *report.Report) { r.Setup.Streams, r.Latency.TTFS.P95 = 16, 399 }, "TTFS with 16 streams", report.Reached},
		"too many":          {func(r *report.Report) { r.Setup.Streams, r.Latency.TTFS.P95 = 16, 401 }, "TTFS with 16 streams", report.Missed},
	} {
		t.Run(name, func(t *testing.T) {
			r := good()
			if r.Judge(); r.Missed() != 0 {
				t.Fatalf("%+v", r.Goals)
			}
			tt.change(r)
			r.Judge()
			i := slices.IndexFunc(r.Goals, func(g report.Goal) bool { return g.Name == tt.goal })
			if i < 0 || r.Goals[i].Verdict != tt.verdict {
				t.Errorf("want %s of %q: %+v", tt.verdict, tt.goal, r.Goals)
			}
		})
	}
}

func TestTextAndJSON(t *testing.T) {
	r := good()
	r.Utterances, r.Publishable, r.Machine.Others = 12, false, 80
	r.Counters = map[string]float64{
		`rtap_errors_total{kind="gap",stage="vad"}`: 2, `rtap_errors_total{kind="dead",stage="stt"}`: 1, `rtap_errors_total{kind="hang",stage="stt"}`: 0,
		`rtap_stt_context_total{outcome="used"}`: 40, `rtap_stt_context_total{outcome="alone_repeats"}`: 3, "rtap_errors_total_of_others": 9,
	}
	r.Load.Shed, r.Load.ShedDrafts = map[string]float64{"draft_busy": 3, "draft_load": 2, "text_silence": 4, "short_speech": 9}, 5
	r.Judge()
	var out bytes.Buffer
	if err := r.Text(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT FOR PUBLICATION: fewer than 300", "DISTURBED: other programs took 80 %", "speech end to final (TTFS)", "reached", "3 of 100 wrong",
		"\nmemory: 310 MB at most, 300 at the end; +2.0 MB an hour", "\ndrafts shed: 5; draft_busy 3; draft_load 2\n", "\ntexts dropped: text_silence 4\n", "\nother work given up: short_speech 9\n",
		"\nerrors: stt dead 1; vad gap 2\n", "\ncontext of finals: alone_repeats 3; used 40\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := good().Text(&out); err != nil || !strings.Contains(out.String(), "\nerrors: none\n") || !strings.Contains(out.String(), "\ntexts dropped: none\n") {
		t.Errorf("nothing went wrong: %v\n%s", err, out.String())
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(raw, []byte(`"wasted_inference_seconds":`)) {
		t.Errorf("no time of wasted inferences in %s", raw)
	}
	back := &report.Report{}
	if err := json.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	if got := report.Changes(r, back); slices.ContainsFunc(got, func(c report.Change) bool { return c.Verdict != "" || c.Old != c.New }) {
		t.Errorf("a report differs from what was written of it: %+v", got)
	}
}

// TestPage: the page stands alone, whatever the run gave.
func TestPage(t *testing.T) {
	hostile := good()
	hostile.Machine.CPU = `<script>alert("x")</script>`
	for name, r := range map[string]*report.Report{"good": good(), "empty": {}, "hostile": hostile} {
		r.Judge()
		var out bytes.Buffer
		if err := r.Page(&out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		page := out.String()
		for _, bad := range []string{"http://", "https://", "<script", "src=", "@import", "NaN", "Inf", "<nil>"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page holds %q", name, bad)
			}
		}
		if name == "good" && strings.Count(page, "<svg") != 6 {
			t.Errorf("%d drawings", strings.Count(page, "<svg"))
		}
	}
}

func TestMarkdown(t *testing.T) {
	r := good()
	r.Judge()
	var out bytes.Buffer
	if err := r.Markdown(&out); err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(out.String(), "\n") {
		if strings.HasPrefix(l, "| ") && strings.Count(l, "|") != 5 && strings.Count(l, "|") != 6 {
			t.Errorf("not a row: %s", l)
		}
	}
	if n := strings.Count(out.String(), "| reached |"); n != len(r.Goals)-1 || !strings.Contains(out.String(), "| < 20 % | run `rtap bench --interims=false` | not measured |") {
		t.Errorf("%d of %d goals:\n%s", n, len(r.Goals), out.String())
	}
}
