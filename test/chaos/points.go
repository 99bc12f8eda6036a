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
	if len(a.left) > 1 { // the last one stays for whoever comes
		a.left = a.left[1:]
	}
	if a.r.kind == kindStopAt {
		return fmt.Sprintf("%s:%d=stop:%v", a.r.point.name, f.pass, f.length)
	}
	return fmt.Sprintf("%s:%d=kill", a.r.point.name, f.pass)
}

// fired is told that a process has come to the failpoint.
func (a *ambush) fired(at time.Time) {
	a.w.fault()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open, a.last = false, at
	a.hits++
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
			// A capture that is asked to stop ends its streams.
			if q.Signal(syscall.SIGKILL) {
				a.out.Kills++
			}
		default:
			q.Arm(a.plan, a.fired)
		}
	}
}

func (a *ambush) ofCapture() bool { return strings.HasPrefix(a.r.point.name, "capture/") }

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
			conclude(p, at, took, ok, out, r.point.name)
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
	a.p.Note("%s, to come to %s", name, a.r.point.name)
	if name == cut {
		if err := a.p.Proxies["capture"].Cut(300 * time.Millisecond); err != nil {
			a.p.Note("%v", err)
		}
		return
	}
	if a.p.Processes[holder(ctx, a.p, name)].Signal(syscall.SIGKILL) {
		a.out.Kills++
	}
}
