package app

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	askEvery = time.Second
	askFor   = 300 * time.Millisecond
)

// activeGrace is how long a hand-over between gateways may take.
const activeGrace = 5 * time.Second

// stages are those without which no audio becomes text.
var stages = []string{"capture", "vad", "stt", "egress"}

// overview asks every process how it is and answers /health with the whole.
type overview struct {
	rt     *service.Runtime
	onSeen func([]*rtapv1.ServiceStatus)

	mu     sync.Mutex
	memory memory
	seen   []*rtapv1.ServiceStatus
	active time.Time // when a gateway was last seen that is active
	remote time.Time // when a capture was last seen that takes remote clients' audio
}

func newOverview(rt *service.Runtime, onSeen func([]*rtapv1.ServiceStatus)) *overview {
	return &overview{rt: rt, onSeen: onSeen, active: time.Now()}
}

func (o *overview) run(ctx context.Context) error {
	if err := o.rt.Bus.Await(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		o.ask(ctx)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (o *overview) ask(ctx context.Context) {
	seen, err := o.rt.Bus.Statuses(ctx, askFor)
	if err != nil {
		o.rt.Log.Debug("asking for statuses failed", "error", err)
	}
	if ctx.Err() != nil {
		return
	}
	o.mu.Lock()
	seen = o.memory.with(seen, time.Now())
	o.seen = seen
	for _, s := range seen {
		if s.GetService() == "capture" && s.GetAttributes()["listen"] == "true" {
			o.remote = time.Now()
		}
		if s.GetService() == "egress" && s.GetState() == obs.StateActive {
			o.active = time.Now()
		}
	}
	o.mu.Unlock()
	o.onSeen(seen)
}

// live lists the streams that are captured now.
func (o *overview) live() (streams []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.seen {
		if s.GetService() == "capture" {
			streams = append(streams, s.GetStreams()...)
		}
	}
	return streams
}

// remoteGrace bridges the restart of a capture process: its clients' audio waits meanwhile.
const remoteGrace = 30 * time.Second

// takesRemoteAudio says whether there is a capture process for remote clients.
func (o *overview) takesRemoteAudio(ctx context.Context) bool {
	recent := func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return !o.remote.IsZero() && time.Since(o.remote) < remoteGrace
	}
	if !recent() {
		o.ask(ctx)
	}
	return recent()
}

// serve answers 503 with the reasons when a stage is missing or not ready.
func (o *overview) serve(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	seen, since := o.seen, time.Since(o.active)
	o.mu.Unlock()
	active := ""
	byStage := map[string][]json.RawMessage{}
	ready := map[string]bool{}
	reasons := []string{}
	for _, s := range seen {
		raw, err := wire.MarshalJSON(s)
		if err != nil {
			continue
		}
		byStage[s.GetService()] = append(byStage[s.GetService()], raw)
		ready[s.GetService()] = ready[s.GetService()] || s.GetReady()
		if s.GetService() == "egress" && s.GetState() == obs.StateActive {
			active = s.GetInstance()
		}
		for _, why := range s.GetReasons() {
			reasons = append(reasons, s.GetService()+" "+s.GetInstance()+": "+why)
		}
	}
	if p := o.rt.Bus.Problem(); p != "" {
		reasons = append(reasons, "nats: "+p)
	}
	healthy := o.rt.Bus.Problem() == ""
	for _, stage := range stages {
		if len(byStage[stage]) == 0 {
			reasons = append(reasons, stage+": no process answers")
		}
		healthy = healthy && ready[stage]
	}
	if since > activeGrace {
		healthy, reasons = false, append(reasons, "egress: no gateway is active, finals are not released")
	}
	status, code := "healthy", http.StatusOK
	if !healthy {
		status, code = "unhealthy", http.StatusServiceUnavailable
	}
	obs.WriteJSON(w, code, map[string]any{
		"status": status, "role": o.rt.Health.Status().GetState(), "active": active, "version": o.rt.Version, "reasons": reasons, "stages": byStage,
	})
}
