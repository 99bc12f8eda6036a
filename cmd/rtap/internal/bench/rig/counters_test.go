package rig

import (
	"math"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// TestMetrics reads what the client library writes, twice, and takes the difference.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "rtap_took_seconds", NativeHistogramBucketFactor: 1.1, Buckets: []float64{1}}, []string{"stage"})
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rtap_shed_total"}, []string{"reason"})
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "rtap_fill"})
	other := prometheus.NewCounter(prometheus.CounterOpts{Name: "go_other_total"})
	reg.MustRegister(h, c, g, other)
	server := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer server.Close()
	read := func(times int) *Metrics {
		m := &Metrics{Counters: map[string]float64{}, Gauges: map[string]float64{}, Histograms: map[string]*Histogram{}}
		for range times {
			if err := m.read(t.Context(), server.URL); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	other.Inc()
	g.Set(.5)
	c.WithLabelValues("late").Add(2)
	for range 100 {
		h.WithLabelValues("vad").Observe(7) // must not show in the difference
	}
	before := read(1)
	c.WithLabelValues("late").Add(3)
	for i := range 1000 {
		h.WithLabelValues("vad").Observe(float64(i+1) / 1e6)
	}
	grown := read(1).Since(before)
	took := grown.Histograms[`rtap_took_seconds{stage="vad"}`]
	if grown.Counters[`rtap_shed_total{reason="late"}`] != 3 || grown.Gauges["rtap_fill"] != .5 || len(grown.Counters) != 1 {
		t.Errorf("%+v", grown)
	}
	if took.Count != 1000 || math.Abs(took.Mean()-500.5e-6) > 1e-6 {
		t.Errorf("%d, mean %g", took.Count, took.Mean())
	}
	for share, want := range map[float64]float64{.5: 500e-6, .95: 950e-6, .99: 990e-6} {
		if got := took.Quantile(share); math.Abs(got-want) > .1*want {
			t.Errorf("quantile %g: %g, want %g", share, got, want)
		}
	}
	if two := read(2); two.Counters[`rtap_shed_total{reason="late"}`] != 10 || two.Histograms[`rtap_took_seconds{stage="vad"}`].Count != 2200 {
		t.Errorf("two processes: %+v", two.Counters)
	}
	var nothing *Histogram
	if nothing.Mean() != 0 || nothing.Quantile(.5) != 0 {
		t.Error("figures of nothing")
	}
}
