package test

import (
	"regexp"
	"strconv"
	"testing"
)

// total adds up the series at the /metrics of processes that begin in a way.
func total(t *testing.T, addresses []string, begin string) (sum float64) {
	t.Helper()
	series := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(begin) + `[^ ]* (\S+)$`)
	for _, address := range addresses {
		for _, found := range series.FindAllStringSubmatch(metrics(t, address), -1) {
			v, err := strconv.ParseFloat(found[1], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// TestEveryFinalIsCountedOnce: by stt, however its text was heard, and by vad as a hit when that was before its
// segment closed.
func TestEveryFinalIsCountedOnce(t *testing.T) {
	p := up(t, "--source", "listen", "--stt", "2")
	ready(t, p)
	begin(t, "capture", p.url(), "", "--source", "mock?repeat=2&stream=s")
	finals := p.logged(t, "s")
	speculative := 0.0
	for _, r := range finals {
		if r.GetRtap().GetSpeculative() {
			speculative++
		}
	}
	of := addresses(t, p)
	const closed = "rtap_speculation_total{outcome="
	hits := func() float64 {
		return total(t, of["vad"], closed+`"hit`) + total(t, of["vad"], closed+`"late_hit"`)
	}
	var empty, want float64
	ended := func() float64 {
		return total(t, of["vad"], closed) - total(t, of["vad"], closed+`"resumed"`) - total(t, of["vad"], closed+`"dropped_segment"`)
	}
	// What is counted follows what is stored. Of the last segment vad counts what it knows when the stream ends.
	within(t, "all is counted", func() bool {
		// A text that was dropped is a final of nothing, which nobody is given.
		empty = total(t, of["stt"], `rtap_shed_total{reason="text_`)
		want = float64(len(finals)) + empty
		return hits() >= speculative-1 && ended() >= want && total(t, of["stt"], "rtap_stt_real_time_factor_count{") >= want
	})
	t.Logf("%d finals, %g of them speculative, %g empty texts, %g hits, %g s wasted", len(finals), speculative, empty, hits(), total(t, of["vad"], "rtap_speculation_wasted_seconds_total"))
	if n := hits(); speculative == 0 || n > speculative+empty {
		t.Errorf("%g hits, of which %g are finals", n, speculative)
	}
	for _, series := range []string{
		"rtap_stt_context_total{", `rtap_frames_processed_total{stage="stt"}`, `rtap_stage_latency_seconds_count{stage="stt"}`, "rtap_stt_real_time_factor_count{",
	} {
		if n := total(t, of["stt"], series); n != want {
			t.Errorf("%s is %g, want %g", series, n, want)
		}
	}
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
}
