package top

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	dto "github.com/prometheus/client_model/go"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
)

// Report is what `rtap top --json` prints.
type Report struct {
	At        time.Time `json:"at"`
	Server    Server    `json:"nats"`
	Processes []Process `json:"processes"`
	Queues    []Queue   `json:"queues"`
	Streams   []Stream  `json:"streams"`
	// Buffers are how full each stage's buffer is, 0 to 1; the fullest of its processes.
	Buffers map[string]float64 `json:"buffer_utilisation"`
	// Shed and Errors are counts since the processes started, by reason and by stage.
	Shed   map[string]float64 `json:"shed"`
	Errors map[string]float64 `json:"errors"`
}

// Server is the NATS server.
type Server struct {
	URL         string  `json:"url"`
	Version     string  `json:"version"`
	RoundTripMS float64 `json:"round_trip_ms"`
	StoredBytes uint64  `json:"stored_bytes"` // on disk
	MemoryBytes uint64  `json:"memory_bytes"`
	Problem     string  `json:"problem"`
}

// Process is one of the pipeline; CPU is in per cent of one core.
type Process struct {
	Service       string   `json:"service"`
	Instance      string   `json:"instance"`
	State         string   `json:"state"`
	Ready         bool     `json:"ready"`
	Reasons       []string `json:"reasons"`
	CPU           float64  `json:"cpu_percent"`
	MemoryBytes   uint64   `json:"memory_bytes"`
	UptimeSeconds float64  `json:"uptime_seconds"`
	Streams       int      `json:"streams"`
	Model         string   `json:"model"`
}

// Queue is a JetStream stream of RTAP.
type Queue struct {
	Name     string  `json:"name"`
	Messages uint64  `json:"messages"`
	Bytes    uint64  `json:"bytes"`
	Pending  uint64  `json:"pending"` // what consumers have not settled
	Rate     float64 `json:"messages_per_second"`
	// OldestSeconds is how long its oldest message has been there, which in RTAP_JOBS is how long a segment has waited for
	// a worker; 0 when it is empty.
	OldestSeconds float64 `json:"oldest_seconds"`
}

// Stream is an audio stream; latencies are in milliseconds, negative where there are none.
type Stream struct {
	ID       string    `json:"stream_id"`
	Finals   uint64    `json:"finals"` // counted by the gateway since it started
	Pipeline Quantiles `json:"pipeline_ms"`
	Final    Quantiles `json:"speech_end_to_final_ms"`
	Interim  Quantiles `json:"interim_ms"`
}

// Quantiles are estimated from a histogram's buckets.
type Quantiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// report compares a sample with the one before it. With recent, latencies are those of the
// finals between the two, where there are any.
func report(before, now sample, recent bool) Report {
	r := Report{
		At: now.at, Server: now.server, Processes: []Process{}, Queues: []Queue{}, Streams: []Stream{},
		Buffers: map[string]float64{}, Shed: map[string]float64{}, Errors: map[string]float64{},
	}
	seconds := now.at.Sub(before.at).Seconds()
	var gateway, gatewayBefore running.Families
	active := false
	for _, p := range now.processes {
		was := before.find(p.Instance)
		if was != nil && seconds > 0 && p.cpuSeconds >= was.cpuSeconds {
			p.CPU = 100 * (p.cpuSeconds - was.cpuSeconds) / seconds
		}
		r.Processes = append(r.Processes, p.Process)
		for stage, full := range p.metrics.Labelled("rtap_buffer_utilization_ratio", "stage") {
			r.Buffers[stage] = max(r.Buffers[stage], full)
		}
		for reason, n := range p.metrics.Labelled("rtap_shed_total", "reason") {
			r.Shed[reason] += n
		}
		for stage, n := range p.metrics.Labelled("rtap_errors_total", "stage") {
			r.Errors[stage] += n
		}
		// All gateways see the same finals; the active one's figures count.
		if p.Service == "egress" && (gateway == nil || !active && p.State == "active") {
			gateway, active, gatewayBefore = p.metrics, p.State == "active", nil
			if was != nil && recent {
				gatewayBefore = was.metrics
			}
		}
	}
	for _, s := range now.streams {
		q := Queue{Name: s.Config.Name, Messages: s.State.Msgs, Bytes: s.State.Bytes, Pending: now.pending[s.Config.Name], OldestSeconds: oldest(s)}
		for _, b := range before.streams {
			if b.Config.Name == q.Name && seconds > 0 && s.State.LastSeq >= b.State.LastSeq {
				q.Rate = float64(s.State.LastSeq-b.State.LastSeq) / seconds
			}
		}
		r.Queues = append(r.Queues, q)
	}
	r.Streams = streams(gatewayBefore, gateway)
	return r
}

// oldest is the age of a stream's first message by the server's own clock, in seconds.
func oldest(s jetstream.StreamInfo) float64 {
	if s.State.Msgs == 0 || s.TimeStamp.IsZero() {
		return 0
	}
	return max(0, s.TimeStamp.Sub(s.State.FirstTime).Seconds())
}

func (s sample) find(instance string) *process {
	for i := range s.processes {
		if s.processes[i].Instance == instance {
			return &s.processes[i]
		}
	}
	return nil
}

func streams(before, now running.Families) []Stream {
	const pipeline, final, interim = "rtap_pipeline_latency_seconds", "rtap_final_latency_seconds", "rtap_interim_latency_seconds"
	all := map[string]bool{}
	for _, name := range []string{pipeline, final, interim} {
		for id := range histograms(now[name]) {
			all[id] = true
		}
	}
	out := []Stream{}
	for _, id := range slices.Sorted(maps.Keys(all)) {
		s := Stream{ID: id, Finals: histograms(now[pipeline])[id].GetSampleCount()}
		for name, to := range map[string]*Quantiles{pipeline: &s.Pipeline, final: &s.Final, interim: &s.Interim} {
			*to = quantiles(histograms(before[name])[id], histograms(now[name])[id])
		}
		out = append(out, s)
	}
	return out
}

// histograms are those of a family by their stream.
func histograms(f *dto.MetricFamily) map[string]*dto.Histogram {
	out := map[string]*dto.Histogram{}
	for _, m := range f.GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "stream" {
				out[l.GetValue()] = m.GetHistogram()
			}
		}
	}
	return out
}

// quantiles of what was added since before; of everything, where nothing was.
func quantiles(before, now *dto.Histogram) Quantiles {
	if now.GetSampleCount() == 0 {
		return Quantiles{-1, -1}
	}
	if before.GetSampleCount() >= now.GetSampleCount() {
		before = nil
	}
	return Quantiles{1000 * quantile(before, now, 0.5), 1000 * quantile(before, now, 0.95)}
}

// quantile is Prometheus's estimate: even within a bucket, and the bound of the last
// finite one for what lies above it.
func quantile(before, now *dto.Histogram, q float64) float64 {
	counts := map[float64]uint64{}
	for _, b := range now.GetBucket() {
		counts[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	for _, b := range before.GetBucket() {
		counts[b.GetUpperBound()] -= min(b.GetCumulativeCount(), counts[b.GetUpperBound()])
	}
	bounds := slices.Sorted(maps.Keys(counts))
	want := q * float64(now.GetSampleCount()-before.GetSampleCount())
	low, below := 0.0, uint64(0)
	for _, high := range bounds {
		n := counts[high]
		if math.IsInf(high, 1) {
			break
		}
		if float64(n) >= want && n > below {
			return low + (high-low)*(want-float64(below))/float64(n-below)
		}
		low, below = high, n
	}
	return low
}

// sorted gives a map's entries as "name n", the largest first.
func sorted(counts map[string]float64) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	var out []string
	for _, k := range keys {
		if counts[k] > 0 {
			out = append(out, k+" "+whole(counts[k]))
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, ", ")
}
