package obs

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// States of a process.
const (
	StateStarting = "starting"
	StateStandby  = "standby"
	StateActive   = "active"
	StateDegraded = "degraded"
	StateDraining = "draining"
	StateStopped  = "stopped"
)

// Health is what a process says of itself. Safe for concurrent use.
type Health struct {
	metrics  *Metrics
	onChange func(from, to string)
	mu       sync.Mutex
	state    string // as it was set; see shown
	problems map[string]string
	degraded map[string]bool // problems that make an active or standby process a degraded one
	status   *rtapv1.ServiceStatus
}

// NewHealth starts in state starting, not ready because of "starting".
func NewHealth(service, instance, version string, m *Metrics) *Health {
	return &Health{
		metrics: m, state: StateStarting, problems: map[string]string{}, degraded: map[string]bool{},
		status: &rtapv1.ServiceStatus{
			Service: service, Instance: instance, Version: version, Pid: uint32(os.Getpid()),
			StartedAt: timestamppb.Now(), Attributes: map[string]string{},
		},
	}
}

// OnChange sets who is told of state changes; set it before the first change.
func (h *Health) OnChange(f func(from, to string)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onChange = f
}

// SetState moves the process to a state. From draining only stopped follows, whoever has
// not heard of it yet.
func (h *Health) SetState(to string) {
	h.change(func() {
		if h.state != StateStopped && (h.state != StateDraining || to == StateStopped) {
			h.state = to
		}
	})
}

// Degrade is [Health.SetProblem] with a problem that, as long as it lasts, makes a process
// that is active or standby a degraded one, whatever its parts set.
func (h *Health) Degrade(part, reason string) {
	h.change(func() {
		h.setProblem(part, reason)
		if delete(h.degraded, part); reason != "" {
			h.degraded[part] = true
		}
	})
}

// change does what may change the state that is shown, and tells of it.
func (h *Health) change(do func()) {
	h.mu.Lock()
	from, tell := h.shown(), h.onChange
	do()
	to := h.shown()
	h.mu.Unlock()
	if from == to {
		return
	}
	h.metrics.StateTransitions.WithLabelValues(from, to).Inc()
	if tell != nil {
		tell(from, to)
	}
}

// shown is the state that others see.
func (h *Health) shown() string {
	if len(h.degraded) > 0 && (h.state == StateActive || h.state == StateStandby) {
		return StateDegraded
	}
	return h.state
}

// SetProblem records why a part of the process is not ready; an empty reason clears it.
func (h *Health) SetProblem(part, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.setProblem(part, reason)
}

func (h *Health) setProblem(part, reason string) {
	if reason == "" {
		delete(h.problems, part)
	} else {
		h.problems[part] = reason
	}
}

// SetAttribute records a fact, such as the chosen model.
func (h *Health) SetAttribute(key, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Attributes[key] = value
}

// SetStreams records which streams the process works on.
func (h *Health) SetStreams(streams []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.Streams = slices.Sorted(slices.Values(streams))
}

// SetAddress records where the process's own HTTP endpoint listens.
func (h *Health) SetAddress(addr string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status.MetricsAddress = addr
}

// Status returns a copy. The process is ready when it has no problem and is active or standby.
func (h *Health) Status() *rtapv1.ServiceStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &rtapv1.ServiceStatus{
		Service: h.status.GetService(), Instance: h.status.GetInstance(), Version: h.status.GetVersion(),
		State: h.shown(), StartedAt: h.status.GetStartedAt(), MetricsAddress: h.status.GetMetricsAddress(),
		Streams: slices.Clone(h.status.GetStreams()), Attributes: maps.Clone(h.status.GetAttributes()), Pid: h.status.GetPid(),
	}
	for _, part := range slices.Sorted(maps.Keys(h.problems)) {
		s.Reasons = append(s.Reasons, part+": "+h.problems[part])
	}
	live := h.state == StateActive || h.state == StateStandby || h.state == StateDegraded
	if !live && len(s.Reasons) == 0 {
		s.Reasons = []string{s.GetState()}
	}
	s.Ready = live && len(h.problems) == 0
	if s.Ready {
		h.metrics.ContainerHealth.Set(1)
	} else {
		h.metrics.ContainerHealth.Set(0)
	}
	return s
}

// Register adds /healthz, /readyz and /metrics to mux.
func Register(mux *http.ServeMux, h *Health, m *Metrics) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		WriteJSON(w, http.StatusOK, map[string]any{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := h.Status()
		code := http.StatusOK
		if !s.GetReady() {
			code = http.StatusServiceUnavailable
		}
		WriteJSON(w, code, map[string]any{"ready": s.GetReady(), "state": s.GetState(), "reasons": append([]string{}, s.GetReasons()...)})
	})
	metrics := promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		h.Status()
		metrics.ServeHTTP(w, r)
	})
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v)
}

// Server answers h on a listener with sane time limits.
func Server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
}
