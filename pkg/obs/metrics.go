package obs

import (
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/procfs"
)

// latencyBuckets reach from the transport alone to a stalled pipeline, in seconds.
var latencyBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .2, .3, .4, .6, .8, 1, 1.5, 2.5, 5, 10, 30}

// Metrics are the names that dashboards and alerts rely on. Each process registers all
// of them and fills those of its stage.
type Metrics struct {
	Registry          *prometheus.Registry
	PipelineLatency   *prometheus.HistogramVec // {stream}: closing frame captured → handed over, seconds
	FinalLatency      *prometheus.HistogramVec // {stream}: speech end → handed over, seconds
	InterimLatency    *prometheus.HistogramVec // {stream}: last sample captured → handed over, seconds
	StageLatency      *prometheus.HistogramVec // {stage}: seconds
	FramesProcessed   *prometheus.CounterVec   // {stage}
	BufferUtilization *prometheus.GaugeVec     // {stage}: 0 to 1
	QueueDepth        *prometheus.GaugeVec     // {queue}: messages
	Shed              *prometheus.CounterVec   // {reason}
	Errors            *prometheus.CounterVec   // {stage,kind}
	StateTransitions  *prometheus.CounterVec   // {from,to}
	ContainerHealth   prometheus.Gauge         // 1 while ready
	STTRealTimeFactor *prometheus.HistogramVec // {model}: inference time / audio time
	STTInfo           *prometheus.GaugeVec     // {engine,model}: always 1
	STTContext        *prometheus.CounterVec   // {outcome}: segments by what became of their context
	Speculation       *prometheus.CounterVec   // {outcome}: segments by what became of their speculative draft
	SpeculationWasted prometheus.Counter       // seconds of inference that no final came of
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
	m.InterimLatency = histogram("rtap_interim_latency_seconds", "From the capture of the last sample to the hand-over of the interim that covers it.", "stream")
	m.StageLatency = histogram("rtap_stage_latency_seconds", "Time one stage takes.", "stage")
	m.STTRealTimeFactor = histogram("rtap_stt_real_time_factor", "Inference time per second of audio.", "model")
	m.FramesProcessed = counter("rtap_frames_processed_total", "Frames or messages a stage has handled.", "stage")
	m.Shed = counter("rtap_shed_total", "Work given up on purpose, by reason.", "reason")
	m.Errors = counter("rtap_errors_total", "Errors by stage and kind.", "stage", "kind")
	m.StateTransitions = counter("rtap_state_transitions_total", "Changes of the process's state.", "from", "to")
	m.BufferUtilization = gauge("rtap_buffer_utilization_ratio", "How full a stage's buffer is, 0 to 1.", "stage")
	m.QueueDepth = gauge("rtap_queue_depth", "Messages waiting in a queue.", "queue")
	m.STTContext = counter("rtap_stt_context_total", "Segments by what became of the context they were decoded with.", "outcome")
	m.Speculation = counter("rtap_speculation_total", "Segments by what became of the draft that was decoded before they closed.", "outcome")
	m.SpeculationWasted = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "rtap_speculation_wasted_seconds_total", Help: "Inference time of speculative drafts that no final came of."})
	m.Registry.MustRegister(m.SpeculationWasted)
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
	usage := &cpuUsage{}
	m.Registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "rtap_cpu_usage_percent", Help: "CPU used since the last scrape; one core is 100."}, usage.percent))
	return m
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

type cpuUsage struct {
	mu      sync.Mutex
	at      time.Time
	seconds float64
}

// percent may be called by several scrapes at once.
func (c *cpuUsage) percent() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := procfs.Self()
	if err != nil {
		return 0
	}
	st, err := p.Stat()
	if err != nil {
		return 0
	}
	now, used := time.Now(), st.CPUTime()
	defer func() { c.at, c.seconds = now, used }()
	if c.at.IsZero() || now.Sub(c.at) <= 0 {
		return 0
	}
	return 100 * (used - c.seconds) / now.Sub(c.at).Seconds()
}
