package app

import (
	"maps"
	"slices"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// patience is how long a process is believed after its last answer: on a busy host one
// answer or two come too late, and a load balancer must not see an outage in that.
const patience = 3 * time.Second

// memory holds what each process said last.
type memory map[string]said

type said struct {
	status *rtapv1.ServiceStatus
	at     time.Time
}

// with takes in what has just been answered and returns what is believed of every process,
// in a fixed order.
func (m *memory) with(answers []*rtapv1.ServiceStatus, now time.Time) []*rtapv1.ServiceStatus {
	if *m == nil {
		*m = memory{}
	}
	for _, s := range answers {
		(*m)[s.GetService()+" "+s.GetInstance()] = said{s, now}
	}
	maps.DeleteFunc(*m, func(_ string, s said) bool { return now.Sub(s.at) > patience })
	var out []*rtapv1.ServiceStatus
	for _, key := range slices.Sorted(maps.Keys(*m)) {
		out = append(out, (*m)[key].status)
	}
	return out
}
