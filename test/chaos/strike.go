package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

// strike does one fault. It returns when the fault is over, or says why it cannot be done.
func strike(ctx context.Context, p *rig.Rig, r round, f fault) error {
	target := f.target
	switch target {
	case active, standby:
		a, s := p.Active(ctx)
		target = map[string]string{active: a, standby: s}[target]
	case leader, follower, otherFollower:
		leads, err := p.Leader(ctx)
		if err != nil {
			return err
		}
		at := slices.Index(rig.Nodes, leads) + map[string]int{leader: 0, follower: 1, otherFollower: 2}[target]
		target = rig.Nodes[at%len(rig.Nodes)]
	}
	if r.kind == kindClock {
		p.Note("the clock is %v off", f.clock)
		if err := p.SetClock(f.clock); err != nil || target == nobody {
			return err
		}
	}
	switch {
	case r.kind == kindCut, r.kind == kindDelay, r.kind == kindHalfOpen, target == halfOpen, r.kind == kindDevice && target == "capture":
		return disturb(p, r.kind, target, f.length)
	case r.kind == kindDisk:
		p.Note("the disk is full for %v", f.length)
		if err := p.Fill(f.length); err != nil {
			return err
		}
		p.Note("the disk has space again")
		return nil
	}
	name := holder(ctx, p, target)
	p.Note("%s of %s (%s) for %v", r.kind, f.target, name, f.length)
	process := p.Processes[name]
	hit := process != nil
	switch {
	case hit && r.kind == kindStop:
		hit = process.Pause(f.length)
	case hit:
		hit = process.Signal(syscall.SIGKILL)
	}
	if !hit {
		return fmt.Errorf("%s did not run", name)
	}
	return nil
}

// disturb does a fault on the way between a service and the server.
func disturb(p *rig.Rig, kind, target string, d time.Duration) error {
	p.Note("%s of %s for %v", kind, target, d)
	service := target
	if target == halfOpen {
		service = "capture"
	}
	proxy := p.Proxies[service]
	switch {
	case proxy == nil:
		return fmt.Errorf("there is no proxy between %s and the server", service)
	case kind == kindHalfOpen, target == halfOpen:
		return proxy.HalfOpen(d)
	case kind == kindDelay:
		return proxy.Delay(d/15, d)
	}
	return proxy.Cut(d)
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
