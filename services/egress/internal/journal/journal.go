// Package journal writes into the gateway's log what happens in the rest of the pipeline:
// which stages are there, what model they have loaded and how long its warm-up took, their
// events, and once a minute the latencies. An operator who reads the gateway's log alone
// finds all of it there, at a rate that no fault can raise.
package journal

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"golang.org/x/time/rate"
)

const (
	// Every is how often latencies are written.
	Every = time.Minute
	// So many lines may come at once, and then one in so long a time.
	burst    = 60
	interval = 2 * time.Second
	// missedPolls is how often a process may leave a question unanswered before it counts
	// as gone: it may be busy.
	missedPolls = 3
)

// Journal is the gateway's view of the pipeline. Safe for concurrent use.
type Journal struct {
	rt    *service.Runtime
	hub   *feed.Hub
	limit *rate.Limiter

	mu         sync.Mutex
	suppressed int
	known      map[string]*process // by instance
}

// process is what was last written about one.
type process struct {
	status *rtapv1.ServiceStatus
	missed int
}

// New makes one that has seen nothing.
func New(rt *service.Runtime, hub *feed.Hub) *Journal {
	return &Journal{rt: rt, hub: hub, limit: rate.NewLimiter(rate.Every(interval), burst), known: map[string]*process{}}
}

// Run writes events and latencies until ctx is done.
func (j *Journal) Run(ctx context.Context) error {
	if err := j.rt.Bus.Await(ctx); err != nil {
		return err
	}
	sub, err := j.rt.Bus.Conn().Subscribe(bus.AllEvents, j.event)
	if err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	return j.latencies(ctx)
}

// write is the only way into the log for what others say.
func (j *Journal) write(level slog.Level, msg string, args ...any) {
	if !j.rt.Log.Enabled(context.Background(), level) {
		return
	}
	if !j.limit.Allow() {
		j.mu.Lock()
		j.suppressed++
		j.mu.Unlock()
		return
	}
	j.rt.Log.Log(context.Background(), level, msg, args...) //nolint:sloglint // the callers' messages are constants
}

// takeSuppressed returns how many lines were left out since the last call.
func (j *Journal) takeSuppressed() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := j.suppressed
	j.suppressed = 0
	return n
}

// event writes what a process tells the bus; this one's own states and settings are in its
// log already.
func (j *Journal) event(m *nats.Msg) {
	e := &rtapv1.ServiceEvent{}
	if err := wire.UnmarshalJSON(m.Data, e); err != nil {
		j.rt.Log.Debug("an event cannot be read", "subject", m.Subject, "error", err)
		return
	}
	if e.GetInstance() == j.rt.Instance && (e.GetKind() == "state" || e.GetKind() == "config") {
		return
	}
	level := map[rtapv1.ServiceEvent_Severity]slog.Level{
		rtapv1.ServiceEvent_SEVERITY_DEBUG: slog.LevelDebug, rtapv1.ServiceEvent_SEVERITY_INFO: slog.LevelInfo,
		rtapv1.ServiceEvent_SEVERITY_WARNING: slog.LevelWarn, rtapv1.ServiceEvent_SEVERITY_ERROR: slog.LevelError,
	}[e.GetSeverity()]
	args := []any{"stage", e.GetService(), "instance", e.GetInstance(), "kind", e.GetKind(), "event", e.GetMessage()}
	if e.GetStreamId() != "" {
		args = append(args, "stream_id", e.GetStreamId())
	}
	if e.GetFrom() != "" || e.GetTo() != "" {
		args = append(args, "from", e.GetFrom(), "to", e.GetTo())
	}
	for key, value := range e.GetAttributes() {
		args = append(args, "attribute_"+key, value)
	}
	j.write(level, "pipeline event", args...)
}
