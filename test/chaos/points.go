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

// atPoint kills or stops processes where they come to a failpoint.
func atPoint(ctx context.Context, p *rig.Rig, r round, files map[string]string, w *watch, out *outcome) {
	left := slices.Clone(r.faults)
	var mu sync.Mutex
	hits := make(chan time.Time, len(left)+len(r.point.processes))
	plan := func() string {
		mu.Lock()
		defer mu.Unlock()
		if len(left) == 0 {
			return ""
		}
		f := left[0]
		if len(left) > 1 { // the last one stays for whoever comes
			left = left[1:]
		}
		if r.kind == kindStopAt {
			return fmt.Sprintf("%s:%d=stop:%v", r.point.name, f.pass, f.length)
		}
		return fmt.Sprintf("%s:%d=kill", r.point.name, f.pass)
	}
	fired := func(at time.Time) {
		w.fault()
		select {
		case hits <- at:
		default:
		}
	}
	captured := strings.HasPrefix(r.point.name, "capture/")
	if captured {
		p.Armed(plan, fired)
	} else {
		for _, name := range r.point.processes {
			p.Processes[name].Arm(plan, fired)
		}
		sleep(ctx, 300*time.Millisecond)
	}
	p.Play(files)
	disarm := func() {
		for _, name := range r.point.processes {
			if q := p.Processes[name]; q != nil && !captured {
				q.Disarm()
			} else if q != nil {
				q.Keep()
			}
		}
		p.Armed(nil, nil)
	}
	defer disarm()
	limit := time.After(w.length() + 5*time.Second)
	help := time.NewTicker(4 * time.Second)
	defer help.Stop()
	for n := 0; n < len(r.faults); {
		select {
		case at := <-hits:
			n++
			out.Faults++
			if r.kind == kindPoint {
				out.Kills++
			}
			settle(ctx, p, w, at, out, r.point.name)
		case <-help.C:
			if r.point.with == "" {
				continue
			}
			name := r.point.with
			if name == cut {
				p.Note("cut of capture, to come to %s", r.point.name)
				if err := p.Proxies["capture"].Cut(300 * time.Millisecond); err != nil {
					p.Note("%v", err)
				}
				continue
			}
			if name == "vad" {
				name = holder(ctx, p, "vad")
			}
			p.Note("kill of %s, to come to %s", name, r.point.name)
			if p.Processes[name].Signal(syscall.SIGKILL) {
				out.Kills++
			}
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}
