package app

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// kindHoldingBack is the kind of event that says that streams are held back because
// RTAP_JOBS is full (a warning), and that they go on.
const kindHoldingBack = "holding_back"

// calm is how long no stream must be held back until it is said that all go on: a queue
// that is full has room again and again, for one job at a time.
const calm = 5 * time.Second

// held says that streams wait for room in RTAP_JOBS: once, however many and often, in the
// log and as an event; and in the process's state as long as it is so.
type held struct {
	rt *service.Runtime

	mu      sync.Mutex
	streams []string
	since   time.Time // zero while nothing is to be said
	free    time.Time // when the last stream went on
	waited  int       // segments
	end     *time.Timer
}

func newHeld(rt *service.Runtime) *held {
	h := &held{rt: rt}
	h.end = time.AfterFunc(calm, h.over)
	h.end.Stop()
	return h
}

// note is a [stream.Hold].
func (h *held) note(stream string, held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams = slices.DeleteFunc(h.streams, func(s string) bool { return s == stream })
	if held {
		h.streams = append(h.streams, stream)
		h.waited++
		h.end.Stop()
	} else if len(h.streams) == 0 {
		h.free = time.Now()
		h.end.Reset(calm)
	}
	h.rt.Metrics.HeldBack.Set(float64(len(h.streams)))
	h.rt.Health.Degrade("jobs", h.reason())
	if !h.since.IsZero() {
		return
	}
	h.since = time.Now()
	h.rt.Log.Warn("holding back, the queue of segments is full: add stt workers, or raise streams.jobs.max_mb", "stream_id", stream)
	h.rt.Metrics.Errors.WithLabelValues("vad", "jobs_full").Inc()
	h.rt.Emit(kindHoldingBack, rtapv1.ServiceEvent_SEVERITY_WARNING, "RTAP_JOBS is full: segments wait, nothing is lost yet", func(e *rtapv1.ServiceEvent) { e.StreamId = stream })
}

func (h *held) reason() string {
	n := len(h.streams)
	if n == 0 {
		return "RTAP_JOBS was full a moment ago"
	}
	named := strings.Join(h.streams[:min(n, 3)], ", ")
	if n > 3 {
		named += " …"
	}
	return fmt.Sprintf("RTAP_JOBS is full, %d held back (%s): add stt workers, or raise streams.jobs.max_mb", n, named)
}

// stop says what there is to say before the process ends.
func (h *held) stop() {
	h.end.Stop()
	h.over()
}

// over says that all streams go on.
func (h *held) over() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.streams) > 0 || h.since.IsZero() {
		return
	}
	lasted, waited := h.free.Sub(h.since), h.waited
	h.since, h.waited = time.Time{}, 0
	h.rt.Log.Info("the queue of segments has room again", "held_ms", lasted.Milliseconds(), "segments", waited)
	h.rt.Health.Degrade("jobs", "")
	h.rt.Emit(kindHoldingBack, rtapv1.ServiceEvent_SEVERITY_INFO, "RTAP_JOBS has room again", func(e *rtapv1.ServiceEvent) {
		e.Attributes = map[string]string{"held_ms": strconv.FormatInt(lasted.Milliseconds(), 10), "segments": strconv.Itoa(waited)}
	})
}
