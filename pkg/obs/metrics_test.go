package obs_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
)

// scrape asks /metrics in a format.
func scrape(t *testing.T, m *obs.Metrics, accept string) *httptest.ResponseRecorder {
	t.Helper()
	mux := http.NewServeMux()
	obs.Register(mux, obs.NewHealth("test", "i", "1", m), m)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
	req.Header.Set("Accept", accept)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, req)
	return rec
}

func family(t *testing.T, m *obs.Metrics, name string) *dto.MetricFamily {
	t.Helper()
	all, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.GetName() == name {
			return f
		}
	}
	return nil
}

func TestHistogramsAreClassicAndNativeWithTraces(t *testing.T) {
	m := obs.NewMetrics("egress", "1")
	obs.Observe(m.PipelineLatency.WithLabelValues("mic"), 0.042, "4bf92f3577b34da6a3ce929d0e0e4736")
	obs.Observe(m.PipelineLatency.WithLabelValues("mic"), 0.043, "")
	text := scrape(t, m, "application/openmetrics-text; version=1.0.0").Body.String()
	for _, want := range []string{
		`rtap_pipeline_latency_seconds_bucket{stream="mic",le="0.05"} 2 # {trace_id="4bf92f3577b34da6a3ce929d0e0e4736"} 0.042`,
		`rtap_pipeline_latency_seconds_count{stream="mic"} 2`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("OpenMetrics lacks %s", want)
		}
	}
	res := scrape(t, m, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	dec := expfmt.NewDecoder(res.Body, expfmt.ResponseFormat(res.Result().Header))
	for {
		var f dto.MetricFamily
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("the histogram is not in the protobuf form: %v", err)
		}
		if f.GetName() != "rtap_pipeline_latency_seconds" {
			continue
		}
		h := f.GetMetric()[0].GetHistogram()
		if h.GetSampleCount() != 2 || len(h.GetPositiveSpan()) == 0 || len(h.GetBucket()) < 10 {
			t.Errorf("want classic and native buckets, got %v", h)
		}
		return
	}
}

func TestCPUDoesNotDependOnScrapers(t *testing.T) {
	var w obs.Window
	start := time.Now()
	for i := range 40 { // one core, then half of one for longer than the window
		seconds := float64(i)
		if i > 20 {
			seconds = 20 + float64(i-20)/2
		}
		w.Add(start.Add(time.Duration(i)*time.Second), seconds)
		if i == 20 && w.Percent() != 100 {
			t.Errorf("%g %% at the full core", w.Percent())
		}
	}
	for range 3 {
		if w.Percent() != 50 {
			t.Errorf("%g %%, want 50 however often it is asked", w.Percent())
		}
	}
}

func TestCPUIsSampledByItsOwnClock(t *testing.T) {
	m := obs.NewMetrics("vad", "1")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
	deadline := time.Now().Add(30 * time.Second)
	for x := 1.0; family(t, m, "rtap_cpu_usage_percent").GetMetric()[0].GetGauge().GetValue() <= 0; {
		for range 1_000_000 { // work that can be measured
			x = x*1.0000001 + 1
		}
		if time.Now().After(deadline) {
			t.Fatalf("no CPU use was seen (%g)", x)
		}
	}
}

func TestErrorsStartAtZero(t *testing.T) {
	for stage, kinds := range obs.ErrorKinds {
		text := scrape(t, obs.NewMetrics(stage, "1"), "").Body.String()
		for _, kind := range kinds {
			if want := fmt.Sprintf("rtap_errors_total{kind=%q,stage=%q} 0\n", kind, stage); !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", stage, want)
			}
		}
		for _, want := range []string{
			fmt.Sprintf("rtap_frames_processed_total{stage=%q} 0\n", stage), fmt.Sprintf("rtap_buffer_utilization_ratio{stage=%q} 0\n", stage),
			fmt.Sprintf("rtap_stage_latency_seconds_count{stage=%q} 0\n", stage), "rtap_config_changes_total{outcome=\"applied\"} 0\n",
			"container_health_status 0\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %s", stage, want)
			}
		}
	}
}

// TestWhatVADGivesUpStartsAtZero: reasons that its code counts, all of them, and what becomes of speculation.
func TestWhatVADGivesUpStartsAtZero(t *testing.T) {
	m := obs.NewMetrics("vad", "1")
	text := scrape(t, m, "").Body.String()
	for _, outcome := range obs.SpeculationOutcomes {
		if want := fmt.Sprintf("rtap_speculation_total{outcome=%q} 0\n", outcome); !strings.Contains(text, want) {
			t.Errorf("vad lacks %s", want)
		}
	}
	var counted []string
	use := regexp.MustCompile(`Shed\.WithLabelValues\("(\w+)"\)`)
	sources(t, "services/vad", func(path, src string) {
		for _, m := range use.FindAllStringSubmatch(src, -1) {
			counted = append(counted, m[1])
			if want := fmt.Sprintf("rtap_shed_total{reason=%q} 0\n", m[1]); !strings.Contains(text, want) {
				t.Errorf("%s counts the reason %q: add it to shedReasons in pkg/obs/labels.go", path, m[1])
			}
		}
	})
	for _, reason := range obs.ShedReasons["vad"] {
		if !slices.Contains(counted, reason) {
			t.Errorf("shedReasons has %s, which nothing counts", reason)
		}
	}
}

// sources goes through the code below a folder of the repository, without tests.
func sources(t *testing.T, below string, each func(path, src string)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(testkit.Root(t), below), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		each(path, string(src))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestErrorKindsAreThoseOfTheCode: what the services count and what obs knows is the same.
func TestErrorKindsAreThoseOfTheCode(t *testing.T) {
	counted := map[string][]string{}
	use := regexp.MustCompile(`Errors\.WithLabelValues\("(\w+)", "(\w+)"\)`)
	sources(t, "services", func(path, src string) {
		for _, m := range use.FindAllStringSubmatch(src, -1) {
			counted[m[1]] = append(counted[m[1]], m[2])
			if !slices.Contains(obs.ErrorKinds[m[1]], m[2]) {
				t.Errorf("%s counts errors of kind %q: add it to %q of errorKinds in pkg/obs/labels.go", path, m[2], m[1])
			}
		}
	})
	for stage, kinds := range obs.ErrorKinds {
		for _, kind := range kinds {
			if !slices.Contains(counted[stage], kind) {
				t.Errorf("errorKinds has %s/%s, which nothing counts", stage, kind)
			}
		}
	}
}

func TestStreamLabelsAreBoundedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := obs.NewMetrics("egress", "1")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		for i := range 2 * obs.MaxStreams {
			m.FinalLatency.WithLabelValues(m.Stream(fmt.Sprint("s", i))).Observe(1)
		}
		if got := len(family(t, m, "rtap_final_latency_seconds").GetMetric()); got != obs.MaxStreams+1 {
			t.Errorf("%d label values, want %d and the rest as one", got, obs.MaxStreams)
		}
		time.Sleep(50 * time.Minute)
		m.FinalLatency.WithLabelValues(m.Stream("s7")).Observe(1)
		time.Sleep(30 * time.Minute)
		var left []string
		for _, metric := range family(t, m, "rtap_final_latency_seconds").GetMetric() {
			left = append(left, metric.GetLabel()[0].GetValue())
		}
		if !slices.Equal(left, []string{"(other)", "s7"}) {
			t.Errorf("left %v, want s7 and the shared one", left)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("ended with %v", err)
		}
	})
}
