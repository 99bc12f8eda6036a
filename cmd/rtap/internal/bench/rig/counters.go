package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// Metrics are the pipeline's own figures, summed over its processes: by name, with labels
// as they are written in the text format.
type Metrics struct {
	Counters   map[string]float64
	Gauges     map[string]float64 // the largest
	Histograms map[string]*Histogram
}

// Histogram is a native histogram: counts by bucket, where bucket i of schema s ends at
// 2^(i·2^-s).
type Histogram struct {
	Count  uint64
	Sum    float64
	Schema int32
	Zero   uint64
	// Buckets by index.
	Buckets map[int]int64
}

// protobufFormat is the only one that carries native histograms.
const protobufFormat = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// Scrape reads /metrics of every process.
func (p *Pipeline) Scrape(ctx context.Context) (*Metrics, error) {
	seen, err := p.Statuses(ctx)
	if err != nil {
		return nil, err
	}
	m := &Metrics{Counters: map[string]float64{}, Gauges: map[string]float64{}, Histograms: map[string]*Histogram{}}
	for _, s := range seen {
		if s.GetMetricsAddress() == "" {
			continue
		}
		err := m.read(ctx, "http://"+s.GetMetricsAddress()+"/metrics")
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // it has ended since: a capture whose files have been played
		}
		if err != nil {
			return nil, fmt.Errorf("reading the metrics of %s: %w", s.GetService(), err)
		}
	}
	return m, nil
}

func (m *Metrics) read(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", protobufFormat)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	dec := expfmt.NewDecoder(res.Body, expfmt.ResponseFormat(res.Header))
	for {
		f := &dto.MetricFamily{}
		err := dec.Decode(f)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(f.GetName(), "rtap_") {
			m.add(f)
		}
	}
}

func (m *Metrics) add(f *dto.MetricFamily) {
	for _, one := range f.GetMetric() {
		key := f.GetName() + labels(one)
		switch {
		case one.GetCounter() != nil:
			m.Counters[key] += one.GetCounter().GetValue()
		case one.GetGauge() != nil:
			m.Gauges[key] = max(m.Gauges[key], one.GetGauge().GetValue())
		case one.GetHistogram() != nil:
			h := histogram(one.GetHistogram())
			if have := m.Histograms[key]; have != nil {
				h = have.plus(h, 1)
			}
			m.Histograms[key] = h
		}
	}
}

func labels(m *dto.Metric) string {
	var out []string
	for _, l := range m.GetLabel() {
		out = append(out, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
	}
	if len(out) == 0 {
		return ""
	}
	slices.Sort(out)
	return "{" + strings.Join(out, ",") + "}"
}

func histogram(h *dto.Histogram) *Histogram {
	out := &Histogram{Count: h.GetSampleCount(), Sum: h.GetSampleSum(), Schema: h.GetSchema(), Zero: h.GetZeroCount(), Buckets: map[int]int64{}}
	at, n, deltas := 0, int64(0), h.GetPositiveDelta()
	for _, span := range h.GetPositiveSpan() {
		at += int(span.GetOffset())
		for range span.GetLength() {
			n += deltas[0]
			deltas = deltas[1:]
			out.Buckets[at] += n
			at++
		}
	}
	return out
}

// plus adds sign times o, at the coarser of both resolutions.
func (h *Histogram) plus(o *Histogram, sign int64) *Histogram {
	out := &Histogram{
		Count: uint64(int64(h.Count) + sign*int64(o.Count)), Sum: h.Sum + float64(sign)*o.Sum,
		Zero: uint64(int64(h.Zero) + sign*int64(o.Zero)), Schema: min(h.Schema, o.Schema), Buckets: map[int]int64{},
	}
	for _, part := range []struct {
		h    *Histogram
		sign int64
	}{{h, 1}, {o, sign}} {
		shift := part.h.Schema - out.Schema
		for i, n := range part.h.Buckets {
			out.Buckets[(i+1<<shift-1)>>shift] += part.sign * n
		}
	}
	return out
}

// Mean of what was observed; 0 of nothing.
func (h *Histogram) Mean() float64 {
	if h == nil || h.Count == 0 {
		return 0
	}
	return h.Sum / float64(h.Count)
}

// Quantile is the value below which a share of the observations lies, to within the width
// of a bucket; 0 of nothing.
func (h *Histogram) Quantile(share float64) float64 {
	if h == nil || h.Count == 0 {
		return 0
	}
	rank := share * float64(h.Count)
	seen := float64(h.Zero)
	indices := make([]int, 0, len(h.Buckets))
	for i := range h.Buckets {
		indices = append(indices, i)
	}
	slices.Sort(indices)
	for _, i := range indices {
		n := float64(h.Buckets[i])
		if n <= 0 {
			continue
		}
		if seen+n >= rank {
			low, high := h.bound(i-1), h.bound(i)
			return low + (high-low)*max(0, rank-seen)/n
		}
		seen += n
	}
	return 0
}

func (h *Histogram) bound(i int) float64 {
	return math.Exp2(float64(i) * math.Exp2(-float64(h.Schema)))
}

// Since subtracts what had been counted before. Gauges stay as they are.
func (m *Metrics) Since(before *Metrics) *Metrics {
	out := &Metrics{Counters: map[string]float64{}, Gauges: m.Gauges, Histograms: map[string]*Histogram{}}
	for k, v := range m.Counters {
		out.Counters[k] = v - before.Counters[k]
	}
	for k, h := range m.Histograms {
		if b := before.Histograms[k]; b != nil {
			h = h.plus(b, -1)
		}
		out.Histograms[k] = h
	}
	return out
}
