package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/rtap/rtap/test/chaos/oracle"
)

// outcome of a round.
type outcome struct {
	Name     string
	Kind     string
	Planned  int           // faults that were to happen
	Faults   int           // that happened
	Kills    int           // deaths by SIGKILL among them
	Stuck    int           // faults that the pipeline did not get over in time
	Over     int           // bounds that did not hold: of memory, and of what is given up first
	Schedule []string      // of the faults that happened, as planned
	Recovery []float64     // seconds, each
	Failover float64       // seconds, longest from one gateway to the other
	Took     time.Duration `json:"-"`
	Seconds  float64
	oracle.Verdict
	why   bool // a note says why a fault did not happen
	ahead bool // the clock steps forward, and what was stored expires
}

func newOutcome(r round) *outcome {
	out := &outcome{Name: r.name, Kind: r.kind, ahead: slices.ContainsFunc(r.faults, func(f fault) bool { return f.clock > 0 })}
	out.Planned, _ = r.planned()
	return out
}

// Bad says whether the round has broken a promise, or has shown nothing.
func (o *outcome) Bad() bool { return o.Verdict.Bad() || o.Stuck+o.Over > 0 || o.idle() }

// idle says whether faults were planned and none happened: what comes out of such a round
// says nothing.
func (o *outcome) idle() bool { return o.Planned > 0 && o.Faults == 0 }

// missed notes why a fault did not happen.
func (o *outcome) missed(format string, args ...any) {
	o.why = true
	o.Notes = append(o.Notes, fmt.Sprintf(format, args...))
}

// account says of an idle round that it is one.
func (o *outcome) account() {
	if o.idle() && !o.why {
		o.missed("the streams had ended before the first fault")
	}
}
