package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

// strike does one fault; it returns when the fault is over, and false when there was
// nobody to hit.
func strike(ctx context.Context, p *rig.Rig, r round, f fault) bool {
	target := f.target
	if target == active || target == standby {
		a, s := p.Active(ctx)
		target = map[string]string{active: a, standby: s}[target]
	}
	if r.kind == kindCut || r.kind == kindDevice && target == "capture" || r.kind == kindDelay || r.kind == kindHalfOpen {
		p.Note("%s of %s for %v", r.kind, target, f.length)
		proxy := p.Proxies[target]
		var err error
		switch r.kind {
		case kindCut, kindDevice:
			err = proxy.Cut(f.length)
		case kindDelay:
			err = proxy.Delay(f.length/15, f.length)
		default:
			err = proxy.HalfOpen(f.length)
		}
		if err != nil {
			p.Note("%v", err)
		}
		return err == nil
	}
	if r.kind == kindDisk {
		p.Note("the disk is full for %v", f.length)
		if err := p.Fill(f.length); err != nil {
			p.Note("%v", err)
			return false
		}
		p.Note("the disk has space again")
		return true
	}
	if target == leader {
		target = p.Leader(ctx)
	}
	if target == halfOpen {
		p.Note("%s for %v", target, f.length)
		return p.Proxies["capture"].HalfOpen(f.length) == nil
	}
	name := holder(ctx, p, target)
	p.Note("%s of %s (%s) for %v", r.kind, target, name, f.length)
	process := p.Processes[name]
	if process == nil {
		return false
	}
	if r.kind == kindStop {
		return process.Pause(f.length)
	}
	return process.Signal(syscall.SIGKILL)
}

// holder is the process of a service that has the most to do: it is the one whose death hurts.
func holder(ctx context.Context, p *rig.Rig, service string) string {
	pair := map[string][]string{"capture": captures, "vad": vads, "stt": stts}[service]
	if pair == nil {
		return service
	}
	best, most := pair[rand.IntN(2)], 0 //nolint:gosec // who holds a lease is not in the seed's hand either
	all, err := p.Bus.Statuses(ctx, 100*time.Millisecond)
	if err != nil {
		return best
	}
	for _, s := range all {
		if s.GetService() != service || len(s.GetStreams()) <= most {
			continue
		}
		for _, name := range pair {
			if q := p.Processes[name]; q != nil && q.PID() == int(s.GetPid()) {
				best, most = name, len(s.GetStreams())
			}
		}
	}
	return best
}
