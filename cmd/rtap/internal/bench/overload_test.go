package bench

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
)

func TestParseStress(t *testing.T) {
	o, err := parseStress(environment("--max 8 --capacity 3"))
	if err != nil || o.most != 8 || o.capacity != 3 || !slices.Equal(o.factors, []float64{2, 10}) || o.burst != 20*time.Second || o.after != 30*time.Second {
		t.Fatalf("%+v, %v", o, err)
	}
	if o, err = parseStress(environment("--factors 1.5,4 --burst 5s")); err != nil || !slices.Equal(o.factors, []float64{1.5, 4}) || o.burst != 5*time.Second {
		t.Errorf("%+v, %v", o.burstOptions, err)
	}
	if o, err = parseStress(environment("--factors none")); err != nil || len(o.factors) > 0 {
		t.Errorf("%+v, %v", o.burstOptions, err)
	}
	for _, bad := range []string{"--factors x", "--factors 2,", "--factors 0", "--factors -1", "--burst 1s", "--recovery 0s", "--capacity 1000", "--after -1s", "--duration 1s"} {
		if _, err := parseStress(environment(bad)); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// TestOverloadFigures makes figures of a burst of one stream beside the probe.
func TestOverloadFigures(t *testing.T) {
	rec := func(name string, second int) *material.Recording {
		s := material.Interval{Start: second*16000 - 8000, End: second * 16000}
		return &material.Recording{Stream: name, Samples: (second + 2) * 16000, Parts: []material.Part{{Text: "x", Speech: []material.Interval{s}}}}
	}
	const sec = int64(1e9)
	p := &played{
		streams: []measure.Stream{
			{Recording: rec("bench-01", 3), Finals: []measure.Final{{At: 12 * sec, Start: 3*16000 - 9000, End: 3*16000 + 1000}}},
			{Recording: rec(probe, 20), Finals: []measure.Final{{At: 20*sec + sec/4, Start: 20*16000 - 9000, End: 20*16000 + 1000}}},
		},
		samples: []rig.Sample{
			{Processes: []rig.Process{{Name: "rtap-stt", RSS: 100 * mb}, {Name: "rtap-vad", RSS: 30 * mb}}},
			{Processes: []rig.Process{{Name: "rtap-stt", RSS: 90 * mb}, {Name: "rtap-vad", RSS: 35 * mb}}},
		},
		highest: map[string]float64{`rtap_queue_age_seconds{queue="jobs"}`: 7.5, `rtap_queue_depth{queue="jobs"}`: 12, "rtap_vad_held_back_streams": 1},
	}
	r := &report.Report{
		Counters: map[string]float64{`rtap_errors_total{kind="gap",stage="vad"}`: 2, `rtap_errors_total{kind="dead",stage="stt"}`: 1},
		Loss:     report.Loss{Unended: 1, Undelivered: 3}, Ends: measure.Ends{Expected: 9, Unheard: 1, TailUnheard: 1},
	}
	// What the guards drop, and short sounds, are no drafts.
	r.Load.Shed, r.Load.ShedDrafts = map[string]float64{"draft_load": 4, "draft_busy": 1, "short_speech": 2, "text_silence": 16}, 5
	o := overload{Factor: 2, Streams: 1, Seconds: 5}
	o.take(p, r, 400)
	// The overload ends with the burst's speech, at 3 s.
	if o.OldestFinal != 9 || o.QueueEmpty != 9 || o.InTime != nil || o.Finals != 2 || o.Late != 1 {
		t.Errorf("recovery %+v", o.Recovery)
	}
	if o.OldestJob != 7.5 || o.Jobs != 12 || o.HeldBack != 1 || o.MemoryMB["rtap-stt"] != 100 || o.MemoryMB["rtap-vad"] != 35 || o.Lost != 7 || o.Unheard != 2 {
		t.Errorf("%+v", o)
	}
	var out bytes.Buffer
	if err := stressTable(&out, stressResult{Given: true, Capacity: 1, Overload: []overload{o, {Factor: 10, Streams: 10, Err: "no port"}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2x        1        5        2       9.0       9.0            not seen         12    7.5           1          5     7", "10x       10       failed: no port",
		"2x: MB at most: rtap-stt 100, rtap-vad 35; given up: draft_busy 1, draft_load 4, short_speech 2, text_silence 16; 2 of 9 ends of speech without a final"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestStressTable: the column is of drafts, whatever else was given up.
func TestStressTable(t *testing.T) {
	r := &report.Report{}
	r.Load.Shed, r.Load.ShedDrafts, r.Load.RSSMaxMB = map[string]float64{"draft_busy": 31, "text_silence": 700, "stale_interim": 9}, 31, 432
	var out bytes.Buffer
	if err := stressTable(&out, stressResult{Capacity: 2, GoalMS: 400, Steps: []step{{Streams: 2, Holds: true, Report: r}, {Streams: 4, Err: "no port"}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"432  31    0         true", "4        failed: no port", "capacity: 2 always-talking streams"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// TestCounters: what the pipeline counted meanwhile, and which of it is drafts.
func TestCounters(t *testing.T) {
	p := &played{
		before: &rig.Metrics{Counters: map[string]float64{`rtap_shed_total{reason="draft_busy"}`: 7}},
		after: &rig.Metrics{Counters: map[string]float64{
			`rtap_shed_total{reason="draft_busy"}`: 10, `rtap_shed_total{reason="draft_unanswered"}`: 2, `rtap_shed_total{reason="interim_not_sent"}`: 1,
			`rtap_shed_total{reason="text_silence"}`: 50, `rtap_shed_total{reason="short_speech"}`: 20, `rtap_shed_total{reason="stale_interim"}`: 30,
			`rtap_speculation_total{outcome="hit"}`: 5, "rtap_speculation_wasted_seconds_total": 1.5,
		}},
	}
	var r report.Report
	p.counters(&r)
	if r.Load.ShedDrafts != 6 || len(r.Load.Shed) != 6 || r.Load.Shed["draft_busy"] != 3 || r.Load.Shed["text_silence"] != 50 {
		t.Errorf("%g drafts of %v", r.Load.ShedDrafts, r.Load.Shed)
	}
	if r.Load.Buffer != nil {
		t.Errorf("a gauge that was not seen: %g", *r.Load.Buffer)
	}
	p.fill(&rig.Metrics{Gauges: map[string]float64{`rtap_buffer_utilization_ratio{stage="vad"}`: .3, `rtap_buffer_utilization_ratio{stage="egress"}`: .1, "rtap_other": 7}})
	p.fill(&rig.Metrics{Gauges: map[string]float64{`rtap_buffer_utilization_ratio{stage="vad"}`: .2}})
	if p.counters(&r); r.Load.Buffer == nil || *r.Load.Buffer != .3 {
		t.Errorf("buffers: %v", r.Load.Buffer)
	}
	if r.Speculation.Outcomes["hit"] != 5 || r.Speculation.WastedSeconds != 1.5 {
		t.Errorf("%+v", r.Speculation)
	}
}

// TestOneStreamGoesOnBehindABurst: as long as was asked for, however long the last clips of the burst are.
func TestOneStreamGoesOnBehindABurst(t *testing.T) {
	spoken := []material.Clip{{Name: "long.wav", Text: "long", PCM: make([]float32, 12*16000), Speech: []material.Interval{{Start: 16000, End: 11 * 16000}}}}
	var o stressOptions
	o.burst, o.after = 2*time.Second, 30*time.Second
	recordings := o.material(spoken, 16)
	last := func(r material.Recording) int { ends := r.Ends(); return ends[len(ends)-1].Sample }
	behind := last(recordings[16]) - slices.Max([]int{last(recordings[0]), last(recordings[7]), last(recordings[15])})
	if len(recordings) != 17 || recordings[16].Stream != probe || behind < 28*16000 {
		t.Errorf("%d recordings; the last, %s, speaks for %d samples more", len(recordings), recordings[len(recordings)-1].Stream, behind)
	}
}
