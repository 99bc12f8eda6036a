package report_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
)

func TestChanges(t *testing.T) {
	verdicts := func(now *report.Report) map[string]string {
		out := map[string]string{}
		for _, c := range report.Changes(good(), now) {
			if c.Verdict != "" {
				out[c.Name] = c.Verdict
			}
		}
		return out
	}
	again := good()
	again.Latency.TTFS = measure.Distribute(around(170, 1000, 99)) // other noise about the same
	if got := verdicts(again); len(got) != 0 {
		t.Errorf("alike: %v", got)
	}
	other := good()
	other.Latency.TTFS = measure.Distribute(around(120, 1000, 5))
	other.Latency.Pipeline = measure.Distribute(around(30, 1000, 5))
	other.Latency.Transport = measure.Distribute(around(9, 12, 5)) // too few to tell more than the median
	other.Load.RSSMaxMB, other.Load.SpeakingCPU = 380, 30.5
	other.Ends.Inside, other.Loss.Holes = 40, 1
	other.Accuracy.Clips = map[string]measure.Cluster{"a": {Errors: 11, Words: 50}, "b": {Errors: 12, Words: 50}}
	want := map[string]string{
		"TTFS p50": "better", "TTFS p95": "better", "TTFS p99": "better", "pipeline p50": "worse", "pipeline p95": "worse", "pipeline p99": "worse",
		"transport p50": "worse", "memory, MB": "worse", "cuts inside speech, of 1000 segments": "worse", "lost, doubled, out of order": "worse",
		"word errors, %": "worse",
	}
	got := verdicts(other)
	for name, v := range want {
		if got[name] != v {
			t.Errorf("%s: %q, want %q", name, got[name], v)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	var out bytes.Buffer
	other.Setup.Streams = 4
	if err := report.Compare(&out, good(), other); err != nil || !strings.Contains(out.String(), "NOT ALIKE: streams was 1, is 4") {
		t.Errorf("%v: %s", err, out.String())
	}
	for want, change := range map[string]func(s *report.Setup){
		"profile was balanced, is latency":             func(s *report.Setup) { s.Profile = "latency" },
		"model was moonshine-tiny-en, is whisper-base": func(s *report.Setup) { s.Model = "whisper-base" },
		"settings was [], is [vad.tail_ms=3]":          func(s *report.Setup) { s.Settings = []string{"vad.tail_ms=3"} },
		"seed was 1, is 2":                             func(s *report.Setup) { s.Seed = 2 },
		"seconds of each stream was 900, is 60":        func(s *report.Setup) { s.Seconds = 60.2 },
		"interims was true, is false":                  func(s *report.Setup) { s.Interims = false },
		"recognisers was 1, is 2":                      func(s *report.Setup) { s.STT = 2 },
	} {
		a, b := good(), good()
		a.Setup.Profile, a.Setup.Model, a.Setup.Seed = "balanced", "moonshine-tiny-en", 1
		b.Setup = a.Setup
		change(&b.Setup)
		out.Reset()
		if err := report.Compare(&out, a, b); err != nil || strings.Count(out.String(), "NOT ALIKE") != 1 || !strings.Contains(out.String(), "NOT ALIKE: "+want+"\n") {
			t.Errorf("want %q, %v: %s", want, err, out.String())
		}
	}
	out.Reset()
	if err := report.Compare(&out, good(), good()); err != nil || !strings.Contains(out.String(), "nothing changed beyond noise") {
		t.Errorf("%v: %s", err, out.String())
	}
}
