package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

// ambush waits at a failpoint with the faults of a round, one after the other.
type ambush struct {
	p   *rig.Rig
	r   round
	w   *watch
	out *outcome

	mu   sync.Mutex
	left []fault
	open bool // a process that starts now gets the failpoint
	last time.Time
	hits int
	// before is how many died at the failpoint that leads to this one.
	before int
	// clock is how far off it is once who was started last has come.
	clock time.Duration
}

// plan is the failpoint of a process that starts.
func (a *ambush) plan() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open || len(a.left) == 0 {
		return ""
	}
	f := a.left[0]
	a.out.Schedule = append(a.out.Schedule, f.String())
	a.clock = f.clock
	if len(a.left) > 1 { // the last one stays for whoever comes
		a.left = a.left[1:]
	}
	if a.r.kind == kindStopAt {
		a.open = !a.ofCapture() // one alone sleeps; a capture has it from its start
		return fmt.Sprintf("%s:%d=stop:%v", a.r.point.name, f.pass, f.length)
	}
	return fmt.Sprintf("%s%s:%d=kill", a.r.point.lead(), a.r.point.name, f.pass)
}

// fired is told that a process has come to a failpoint: this one, or the one before it.
func (a *ambush) fired(name string, at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if name != a.r.point.name {
		a.before++
		return
	}
	a.w.fault()
	a.open, a.last = false, at
	a.hits++
	if a.clock != 0 {
		a.p.Note("the clock is %v off", a.clock)
		if err := a.p.SetClock(a.clock); err != nil {
			a.out.missed("%v", err)
		}
	}
}

func (a *ambush) hit() (last time.Time, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last, a.hits
}

// arm starts those anew that have no failpoint.
func (a *ambush) arm() {
	a.mu.Lock()
	a.open = true
	n := a.hits
	a.mu.Unlock()
	if a.r.kind == kindStopAt {
		// Only one, which gets the work from the other: that one has to be awake meanwhile.
		pair := a.r.point.processes
		one, other := a.p.Processes[pair[n%2]], a.p.Processes[pair[(n+1)%2]]
		if a.ofCapture() {
			a.kill(one)
			time.Sleep(1500 * time.Millisecond)
			a.kill(other)
			return
		}
		other.Keep()
		one.Arm(a.plan, a.fired)
		time.Sleep(1500 * time.Millisecond)
		other.Signal(syscall.SIGTERM)
		return
	}
	for _, name := range a.r.point.processes {
		q := a.p.Processes[name]
		switch {
		case q == nil || q.IsArmed():
		case a.ofCapture():
			a.kill(q)
		default:
			q.Arm(a.plan, a.fired)
		}
	}
}

// kill ends a process that has to start anew; a capture that is asked to stop ends its streams.
func (a *ambush) kill(q *rig.Process) {
	if q != nil && q.Signal(syscall.SIGKILL) {
		a.out.Kills++
	}
}

func (a *ambush) ofCapture() bool { return a.r.point.processes[0] == rig.Capture1 }

// atPoint kills or stops processes where they come to a failpoint.
func atPoint(ctx context.Context, p *rig.Rig, r round, files map[string]string, w *watch, out *outcome) {
	a := &ambush{p: p, r: r, w: w, out: out, left: slices.Clone(r.faults), open: true}
	if a.ofCapture() {
		p.Armed(a.plan, a.fired)
	} else {
		a.arm()
		sleep(ctx, 300*time.Millisecond)
	}
	p.Play(files)
	defer func() {
		for _, name := range r.point.processes {
			if q := p.Processes[name]; q != nil && !a.ofCapture() {
				q.Disarm()
			} else if q != nil {
				q.Keep()
			}
		}
		p.Armed(nil, nil)
		a.mu.Lock()
		defer a.mu.Unlock()
		out.Kills += a.before
		if out.Faults == 0 {
			out.missed("nobody came to %v; processes were started for: %s", r.point, strings.Join(out.Schedule, "; "))
		}
	}()
	limit := time.Now().Add(w.length() + 5*time.Second)
	help := time.Now().Add(4 * time.Second)
	for ctx.Err() == nil {
		at, n := a.hit()
		switch {
		case n > out.Faults:
			took, ok := time.Duration(0), false
			for settled := false; !settled; settled = n == out.Faults { // one may follow the other
				at, n = a.hit()
				if r.kind == kindPoint {
					out.Kills += n - out.Faults
				}
				out.Faults = n
				took, ok = w.recovered(ctx, at)
				_, n = a.hit()
			}
			conclude(p, at, took, ok, out, r.point.String())
			if out.Faults >= len(r.faults) || time.Now().After(limit) {
				return
			}
			a.arm()
		case time.Now().After(limit):
			return
		case r.point.with != "" && time.Now().After(help):
			a.help(ctx)
			help = time.Now().Add(4 * time.Second)
		}
		sleep(ctx, 20*time.Millisecond)
	}
}

// help does what must happen for anybody to come to the point.
func (a *ambush) help(ctx context.Context) {
	name := a.r.point.with
	a.p.Note("%s, to come to %v", name, a.r.point)
	switch name {
	case cut:
		if err := disturb(a.p, kindCut, "capture", 300*time.Millisecond); err != nil {
			a.p.Note("%v", err)
		}
	case handOver:
		serves, _ := a.p.Active(ctx)
		a.p.Processes[serves].Signal(syscall.SIGTERM)
	default:
		a.kill(a.p.Processes[holder(ctx, a.p, name)])
	}
}
