package obs

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/procfs"
	"github.com/rtap/rtap/pkg/machine"
)

// latencyBuckets reach from the transport alone to a stalled pipeline, in seconds.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .2, .3, .4, .6, .8, 1, 1.5, 2.5, 5, 10, 30}

// Metrics are the names that dashboards and alerts rely on. Each process registers all
// of them and fills those of its stage. The labels' values are few: kinds and reasons are
// constants, and what names a stream goes through [Metrics.Stream].
type Metrics struct {
	Registry          *prometheus.Registry
	PipelineLatency   *prometheus.HistogramVec // {stream}: closing frame captured → handed over, seconds
	FinalLatency      *prometheus.HistogramVec // {stream}: speech end → handed over, seconds
	InterimLatency    *prometheus.HistogramVec // {stream}: last sample captured → sent by the recogniser, seconds
	StageLatency      *prometheus.HistogramVec // {stage}: seconds
	FramesProcessed   *prometheus.CounterVec   // {stage}
	BufferUtilization *prometheus.GaugeVec     // {stage}: 0 to 1
	QueueDepth        *prometheus.GaugeVec     // {queue}: messages
	QueueAge          *prometheus.GaugeVec     // {queue}: seconds that the oldest message has waited; 0 when empty
	StoreBytes        *prometheus.GaugeVec     // {store}: what a JetStream stream holds
	StoreLimit        *prometheus.GaugeVec     // {store}: what it may hold
	Shed              *prometheus.CounterVec   // {reason}
	LevelWarnings     *prometheus.CounterVec   // {problem}
	HeldBack          prometheus.Gauge         // streams whose segments wait because RTAP_JOBS is full
	Errors            *prometheus.CounterVec   // {stage,kind}: kinds as in errorKinds
	ConfigChanges     *prometheus.CounterVec   // {outcome}: applied or refused while running
	HTTPRequests      *prometheus.CounterVec   // {route,code}
	Subscribers       *prometheus.GaugeVec     // {feed}: clients connected now: websocket, zmq
	ClientsClosed     *prometheus.CounterVec   // {reason}: WebSocket clients by why they were closed
	StateTransitions  *prometheus.CounterVec   // {from,to}
	LeasesHeld        *prometheus.GaugeVec     // {kind}: leases that the process holds: capture, vad, gateway …
	LeaseChanges      *prometheus.CounterVec   // {kind,change}: taken, lost, released
	ContainerHealth   prometheus.Gauge         // 1 while ready
	STTRealTimeFactor *prometheus.HistogramVec // {model}: inference time / audio time
	STTInfo           *prometheus.GaugeVec     // {engine,model}: always 1
	BreakerState      *prometheus.GaugeVec     // {engine}: 0 closed, 1 half open, 2 open
	BulkheadInUse     *prometheus.GaugeVec     // {engine}: inferences that run
	BulkheadMax       *prometheus.GaugeVec     // {engine}: how many may
	STTContext        *prometheus.CounterVec   // {outcome}: finals by what became of the context their text was heard in
	Speculation       *prometheus.CounterVec   // {outcome}: segments by what became of their speculative draft: Speculation…
	SpeculationWasted prometheus.Counter       // seconds of inference that no final came of

	usage   *cpuWindow
	streams *streamLabels
}

// NewMetrics registers everything on a registry of its own.
func NewMetrics(service, version string) *Metrics {
	m := &Metrics{Registry: prometheus.NewRegistry()}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: latencyBuckets,
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, labels)
		m.Registry.MustRegister(h)
		return h
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
		m.Registry.MustRegister(g)
		return g
	}
	m.PipelineLatency = histogram("rtap_pipeline_latency_seconds", "From the capture of the frame that closed a segment to the hand-over of its final.", "stream")
	m.FinalLatency = histogram("rtap_final_latency_seconds", "From the capture of the last speech to the hand-over of its final.", "stream")
	m.InterimLatency = histogram("rtap_interim_latency_seconds", "From the capture of the last sample to the moment a recogniser sends the interim that covers it to the gateways; their hand-over, a few milliseconds, is not in it.", "stream")
	m.StageLatency = histogram("rtap_stage_latency_seconds", "Time one stage takes: vad for a frame, stt for the inference of a final's text, whenever that was.", "stage")
	m.STTRealTimeFactor = histogram("rtap_stt_real_time_factor", "Inference time of finals' texts per second of their audio.", "model")
	m.FramesProcessed = counter("rtap_frames_processed_total", "Frames or messages a stage has handled.", "stage")
	m.Shed = counter("rtap_shed_total", "Work given up on purpose, by reason.", "reason")
	m.Errors = counter("rtap_errors_total", "Errors by stage and kind.", "stage", "kind")
	m.StateTransitions = counter("rtap_state_transitions_total", "Changes of the process's state.", "from", "to")
	m.LeasesHeld = gauge("rtap_leases_held", "Leases that the process holds, by kind.", "kind")
	m.LeaseChanges = counter("rtap_lease_changes_total", "Leases taken, lost and released, by kind.", "kind", "change")
	m.BufferUtilization = gauge("rtap_buffer_utilization_ratio", "How full a stage's buffer is, 0 to 1.", "stage")
	m.QueueDepth = gauge("rtap_queue_depth", "Messages waiting in a queue.", "queue")
	m.QueueAge = gauge("rtap_queue_age_seconds", "How long a queue's oldest message has waited; 0 when it is empty.", "queue")
	m.StoreBytes = gauge("rtap_store_bytes", "What a JetStream stream holds.", "store")
	m.StoreLimit = gauge("rtap_store_limit_bytes", "What a JetStream stream may hold.", "store")
	m.ConfigChanges = counter("rtap_config_changes_total", "Changes of settings in the running process, by outcome.", "outcome")
	m.HTTPRequests = counter("rtap_http_requests_total", "Requests answered, by route and status code.", "route", "code")
	m.Subscribers = gauge("rtap_subscribers", "Clients connected to a feed.", "feed")
	m.ClientsClosed = counter("rtap_ws_closed_total", "WebSocket connections ended, by reason.", "reason")
	m.BreakerState = gauge("rtap_breaker_state", "Whether the engine gets jobs: 0 yes (closed), 1 one to try (half open), 2 none (open).", "engine")
	m.BulkheadInUse = gauge("rtap_bulkhead_in_use", "Inferences that run in the process.", "engine")
	m.BulkheadMax = gauge("rtap_bulkhead_max", "Inferences that may run in the process at once.", "engine")
	m.STTContext = counter("rtap_stt_context_total", "Finals by what became of the context in which their text was heard, when the segment had closed or before.", "outcome")
	m.LevelWarnings = counter("rtap_level_warnings_total", "Warnings about the level of a stream's audio, by problem.", "problem")
	m.Speculation = counter("rtap_speculation_total", "Segments by what became of the draft that was to be decoded before they closed; hit, hit_waited and late_hit became the final.", "outcome")
	m.SpeculationWasted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rtap_speculation_wasted_seconds_total", Help: "Inference time of speculative drafts that no final came of, also of those whose text was given up."})
	m.HeldBack = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rtap_vad_held_back_streams", Help: "Streams that the process holds back, because RTAP_JOBS has no room for their segments."})
	m.Registry.MustRegister(m.SpeculationWasted, m.HeldBack)
	m.STTInfo = gauge("rtap_stt_info", "The loaded engine and model.", "engine", "model")
	m.ContainerHealth = prometheus.NewGauge(prometheus.GaugeOpts{Name: "container_health_status", Help: "1 while the process is ready, else 0."})
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rtap_build_info", Help: "What this process is; always 1.",
		ConstLabels: prometheus.Labels{"service": service, "version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.Registry.MustRegister(m.ContainerHealth, build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rtap_memory_usage_bytes", Help: "Resident memory of the process."}, residentBytes))
	m.usage, m.streams = &cpuWindow{}, newStreamLabels()
	m.usage.sample()
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rtap_cpu_usage_percent", Help: "CPU used over the last 15 seconds; one core is 100."}, m.usage.percent))
	m.prepare(service)
	return m
}

// prepare gives the process's own counters their zero, so that the first error is seen by
// rate() as an increase and not as a new series.
func (m *Metrics) prepare(service string) {
	kinds, stage := errorKinds[service]
	if !stage {
		return
	}
	for _, kind := range append(sharedErrorKinds, kinds...) {
		m.Errors.WithLabelValues(service, kind)
	}
	for _, reason := range shedReasons[service] {
		m.Shed.WithLabelValues(reason)
	}
	if service == "vad" {
		for _, outcome := range speculationOutcomes {
			m.Speculation.WithLabelValues(outcome)
		}
	}
	m.FramesProcessed.WithLabelValues(service)
	m.StageLatency.WithLabelValues(service)
	m.BufferUtilization.WithLabelValues(service)
	if service == "egress" {
		for _, feed := range []string{"websocket", "zmq_transcripts", "zmq_events"} {
			m.Subscribers.WithLabelValues(feed)
		}
		m.LeasesHeld.WithLabelValues("gateway")
		for _, reason := range closeReasons {
			m.ClientsClosed.WithLabelValues(reason)
		}
	}
	for _, outcome := range []string{configApplied, configRefused} {
		m.ConfigChanges.WithLabelValues(outcome)
	}
}

// Why a WebSocket connection ended.
const (
	ClosedDone    = "done"          // the client has everything
	ClosedGone    = "client_gone"   // by the client, or it answered no ping
	ClosedSlow    = "slow_consumer" // it was told where to resume
	ClosedStuck   = "stuck"         // it took nothing for so long that it could not be told
	ClosedStops   = "server_stops"
	ClosedRefused = "refused" // what it sent is not as it must be
	ClosedError   = "error"
)

var closeReasons = []string{ClosedDone, ClosedGone, ClosedSlow, ClosedStuck, ClosedStops, ClosedRefused, ClosedError}

// Outcomes of a change of settings.
const (
	configApplied = "applied"
	configRefused = "refused"
)

// CountConfigChange counts a change of settings that the running process took over or
// refused.
func (m *Metrics) CountConfigChange(applied bool) {
	outcome := configRefused
	if applied {
		outcome = configApplied
	}
	m.ConfigChanges.WithLabelValues(outcome).Inc()
}

// SetConfig shows which configuration the process runs with, as a number that changes
// with it, and what is free on the disk of dir, where it writes its logs.
func (m *Metrics) SetConfig(hash uint32, dir string) {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "rtap_config_hash", Help: "Sum of the effective configuration; another number is another configuration."})
	g.Set(float64(hash))
	m.Registry.MustRegister(g, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rtap_disk_free_bytes", Help: "Free space on the disk that logs are written to."},
		func() float64 {
			free, err := machine.FreeDisk(dir)
			if err != nil {
				return 0
			}
			return float64(free)
		}))
}

// Run keeps up what has to be looked at regularly: CPU use, and labels of streams that
// have gone.
func (m *Metrics) Run(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			m.usage.sample()
			for _, id := range m.streams.idle(time.Now().Add(-forgetAfter)) {
				labels := prometheus.Labels{"stream": id}
				m.PipelineLatency.DeletePartialMatch(labels)
				m.FinalLatency.DeletePartialMatch(labels)
				m.InterimLatency.DeletePartialMatch(labels)
			}
		}
	}
}

// Observe adds value with the trace that it belongs to as its exemplar; traceID may be
// empty.
func Observe(o prometheus.Observer, value float64, traceID string) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && traceID != "" {
		e.ObserveWithExemplar(value, prometheus.Labels{"trace_id": traceID})
		return
	}
	o.Observe(value)
}

func residentBytes() float64 {
	p, err := procfs.Self()
	if err != nil {
		return 0
	}
	st, err := p.Stat()
	if err != nil {
		return 0
	}
	return float64(st.ResidentMemory())
}
