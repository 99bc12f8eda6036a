package service

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// watchStore says in the log, as an event, in a metric and in the readiness that what is
// written is not stored.
func (r *Runtime) watchStore(ctx context.Context) error {
	return r.Bus.WatchStore(ctx, func(reason string) {
		r.Health.Degrade("store", reason)
		if reason == "" {
			r.Log.Info("the NATS server stores again")
			r.Emit(bus.KindStore, rtapv1.ServiceEvent_SEVERITY_INFO, "the NATS server stores again", nil)
			return
		}
		r.Log.Error("nothing is stored", "reason", reason)
		r.Metrics.Errors.WithLabelValues(r.Service, "disk_full").Inc()
		r.Emit(bus.KindStore, rtapv1.ServiceEvent_SEVERITY_ERROR, "nothing is stored: "+reason, nil)
	})
}

// drifted reports a stream that was not as it should be. Limits follow the configuration,
// which is a change of it; all else is somebody's doing.
func (r *Runtime) drifted(d bus.Drift) {
	severity := rtapv1.ServiceEvent_SEVERITY_INFO
	if len(d.Owned) > 0 || d.Kept {
		severity = rtapv1.ServiceEvent_SEVERITY_WARNING
		r.Metrics.Errors.WithLabelValues(r.Service, "stream_drift").Inc()
	}
	r.Health.SetAttribute("stream_drift", time.Now().UTC().Format(time.RFC3339)+" "+d.String())
	r.Emit("config", severity, d.String(), func(e *rtapv1.ServiceEvent) { e.Attributes = map[string]string{"stream": d.Stream} })
}
