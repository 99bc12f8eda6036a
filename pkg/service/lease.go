package service

import (
	"strings"

	"github.com/rtap/rtap/pkg/lease"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Lease wants a lease for this process. What happens to it is logged, counted and told as
// an event.
func (r *Runtime) Lease(key string) *lease.Keeper {
	kind, stream, _ := strings.Cut(key, ".")
	claim := lease.Claim{Key: key, Holder: r.Instance, Service: r.Service, Attributes: map[string]string{"version": r.Version}}
	return lease.New(r.Bus.Leases(), claim, r.Log, func(c lease.Change) {
		held, severity := r.Metrics.LeasesHeld.WithLabelValues(kind), rtapv1.ServiceEvent_SEVERITY_INFO
		if c.What == lease.Taken {
			held.Inc()
		} else {
			held.Dec()
		}
		if c.What == lease.Lost {
			severity = rtapv1.ServiceEvent_SEVERITY_WARNING
		}
		r.Metrics.LeaseChanges.WithLabelValues(kind, c.What).Inc()
		r.Emit("lease", severity, "lease "+c.What, func(e *rtapv1.ServiceEvent) {
			e.StreamId, e.To = stream, c.What
			e.Attributes = map[string]string{"lease": c.Key, "token": c.Token.String(), "reason": c.Reason}
		})
	})
}
