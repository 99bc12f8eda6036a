package main

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

// point is a failpoint and the processes that come to it.
type point struct {
	name      string
	of        string // which service's, where several come there
	processes []string
	// most is the highest pass at which it is killed; a place that a process comes to once,
	// as it starts, has 1.
	most int
	// with is what must happen meanwhile for anybody to come there: a process to kill, a cut, or
	// a gateway that is asked to stop.
	with string
	// after is a failpoint at which who has the work dies, so that its successor comes to this one.
	after string
}

// lead is what makes somebody come there, as the beginning of a failpoint's plan.
func (p *point) lead() string {
	if p.after == "" {
		return ""
	}
	return p.after + "=kill,"
}

func (p *point) String() string {
	if p.of == "" {
		return p.name
	}
	return p.name + " of " + p.of
}

var (
	captures = []string{rig.Capture1, rig.Capture2}
	vads     = []string{rig.VAD1, rig.VAD2}
	stts     = []string{rig.STT1, rig.STT2}
	gateways = []string{rig.Gateway1, rig.Gateway2}
)

// points are all failpoints of the code; a test compares them. Other processes that come to them are in [further].
var points = []point{
	{name: "capture/positioned", processes: captures, most: 2},
	{name: "capture/published", processes: captures, most: 300},
	{name: "capture/acknowledged", processes: captures, most: 150},
	{name: "capture/resending", processes: captures, most: 60, with: cut},
	{name: "vad/closed", processes: vads, most: 3},
	{name: "vad/recorded", processes: vads, most: 3},
	{name: "vad/job-published", processes: vads, most: 3},
	{name: "vad/marker-recorded", processes: vads, most: 2},
	{name: "vad/settling", processes: vads, most: 1, after: "vad/recorded"},
	{name: "stt/taken", processes: stts, most: 2},
	{name: "stt/decoded", processes: stts, most: 3},
	{name: "stt/stored", processes: stts, most: 3},
	{name: "stt/acknowledged", processes: stts, most: 3},
	{name: "stt/ready-taken", processes: stts, most: 2},
	{name: "egress/releasing", processes: gateways, most: 3},
	{name: "egress/stored", processes: gateways, most: 3},
	{name: "egress/forgetting", processes: gateways, most: 2},
	{name: "egress/read", processes: gateways, most: 3},
	{name: "egress/sent", processes: gateways, most: 3},
	{name: "lease/taken", processes: vads, most: 2},
	{name: "lease/releasing", processes: vads, most: 1},
}

// round is one playing of the recordings with faults of one kind.
type round struct {
	name   string
	long   bool // of the two sets of recordings
	on     rig.Kind
	faults []fault
	point  *point
	kind   string
	second bool // of the suite's two parts
}

// planned is how many faults are to happen, and kills how many of them are deaths by SIGKILL.
func (r round) planned() (faults, kills int) {
	switch r.kind {
	case kindClients, kindOverload:
		return 1, 0
	}
	for _, f := range r.faults {
		if r.kind == kindPoint || r.kills(f) {
			kills++
		}
	}
	return len(r.faults), kills
}

// kills says whether a fault is the death of a process that is hit.
func (r round) kills(f fault) bool {
	return r.kind == kindKill || r.kind == kindClock && f.target != nobody || r.kind == kindDevice && (f.target == rig.NATS || f.target == leader)
}

// fault is one thing that happens.
type fault struct {
	// after the pipeline has got over the one before it, or has begun.
	after  time.Duration
	target string
	length time.Duration
	pass   int
	clock  time.Duration // how far off it is then, whole hours
}

// diskMB is the size of the disk that fills up. A server wants some, and rtap up more than 64 free.
const diskMB = 256

func (f fault) String() string {
	if f.clock != 0 {
		return fmt.Sprintf("%v after recovery: the clock %+.0f h off, and %s, pass %d", f.after, f.clock.Hours(), f.target, f.pass)
	}
	return fmt.Sprintf("%v after recovery: %s for %v, pass %d", f.after, f.target, f.length, f.pass)
}

// roles that are found out when the fault happens.
const (
	active  = "egress active"
	standby = "egress standby"
	leader  = "nats leader"
	// follower and otherFollower are the two of the cluster that do not lead.
	follower      = "nats follower"
	otherFollower = "nats other follower"
	cut           = "cut of capture"
	handOver      = "stop of the active gateway"
	// nobody is hit when the clock alone steps.
	nobody = "nobody"
	// halfOpen swallows what the capture of a device sends.
	halfOpen = "capture, half-open"
)

// Kinds of rounds.
const (
	kindNone     = "none"
	kindKill     = "kill"
	kindStop     = "stop"
	kindPoint    = "failpoint"
	kindStopAt   = "stop at a failpoint"
	kindClients  = "clients"
	kindDevice   = "device"
	kindCut      = "cut"
	kindDelay    = "delay"
	kindHalfOpen = "half-open"
	kindDisk     = "disk"
	kindOverload = "overload"
	kindClock    = "clock"
)

// draw is what a seed gives, in the order in which it is asked for. What is added to the plan
// draws last, so that the rounds before it stay what they were.
type draw struct{ *rand.Rand }

func (d draw) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func (d draw) some(n int, targets []string, from, to time.Duration) (out []fault) {
	for i := range n {
		out = append(out, fault{d.between(300*time.Millisecond, 2500*time.Millisecond), targets[i%len(targets)], d.between(from, to), 0, 0})
	}
	return out
}

// makePlan lays the whole suite out: the same seed gives the same.
func makePlan(seed uint64, short bool) (rounds []round) {
	r := draw{rand.New(rand.NewPCG(seed, 6))}
	some := r.some
	add := func(kind, name string, faults []fault) {
		rounds = append(rounds, round{name: name, long: true, kind: kind, faults: faults})
	}
	kills, stops, cuts, passes := 11, 4, 4, 6
	targets := []string{"capture", "vad", "stt", active, standby, rig.NATS}
	if short {
		kills = 1
		rounds = append(rounds, round{name: "none, short", kind: kindNone})
		var mixed []fault
		for range kills {
			mixed = append(mixed, some(1, []string{"capture"}, 1, 2)...)
			mixed = append(mixed, some(1, []string{"vad"}, 1, 2)...)
			mixed = append(mixed, some(1, []string{"stt"}, 1, 2)...)
			mixed = append(mixed, some(1, []string{active}, 1, 2)...)
			mixed = append(mixed, some(1, []string{rig.NATS}, 1, 2)...)
		}
		rounds = append(rounds, round{name: "kill -9 of each", kind: kindKill, faults: mixed})
		for _, n := range []string{"vad/recorded", "stt/stored", "egress/stored"} {
			rounds = append(rounds, pointRound(named(n), 2, r))
		}
		return rounds
	}
	rounds = append(rounds, round{name: "none, short", kind: kindNone}, round{name: "none, long", kind: kindNone, long: true})
	for _, t := range targets {
		add(kindKill, "kill -9 "+t, some(kills, []string{t}, 1, 2))
	}
	add(kindKill, "kill -9 rtap up", some(6, []string{rig.Up}, 1, 2))
	rounds[len(rounds)-1].on = rig.ByUp
	add(kindKill, "kill -9 cluster leader", some(5, []string{leader, rig.Nodes[0], leader, rig.Nodes[1], leader}, 1, 2))
	rounds[len(rounds)-1].on = rig.Cluster
	for _, t := range targets {
		add(kindStop, "SIGSTOP 1-10 s "+t, some(stops, []string{t}, time.Second, 10*time.Second))
	}
	services := []string{"capture", "vad", "stt", "egress"}
	add(kindCut, "proxy cut 0.2-3 s", some(2*cuts, services, 200*time.Millisecond, 3*time.Second))
	// Short enough for the lease to be kept: what was under way is sent again from the ring.
	add(kindCut, "proxy cut 0.2-0.5 s capture", some(2*cuts, []string{"capture"}, 200*time.Millisecond, 500*time.Millisecond))
	// A device does not wait: what it hears meanwhile is in the ring. Its capture is not killed.
	add(kindDevice, "device: proxy cut 0.2-2 s", some(2*cuts, []string{"capture"}, 200*time.Millisecond, 2*time.Second))
	add(kindDevice, "device: kill -9 nats", some(cuts, []string{rig.NATS}, 1, 2))
	// What was sent is swallowed, and only the ring still has it.
	add(kindDevice, "device: half-open 0.5-2 s", some(cuts, []string{halfOpen}, 500*time.Millisecond, 2*time.Second))
	rounds[len(rounds)-1].long = false
	add(kindDelay, "proxy delay 50-400 ms", some(cuts, services, 3*time.Second, 6*time.Second))
	add(kindHalfOpen, "proxy half-open 1-6 s", some(cuts, services, time.Second, 6*time.Second))
	rounds = append(rounds, round{name: "slow and vanishing clients", long: true, kind: kindClients})
	for i := range points {
		rounds = append(rounds, pointRound(&points[i], passes, r))
	}
	for _, name := range []string{"vad/closed", "vad/recorded", "stt/decoded", "egress/releasing", "egress/stored"} {
		rounds = append(rounds, stopRound(named(name), r))
	}
	add(kindDisk, "disk full for 12-20 s", some(1, []string{rig.NATS}, 12*time.Second, 20*time.Second))
	rounds[len(rounds)-1].on, rounds[len(rounds)-1].second = rig.ByUp, true
	rounds = append(rounds, round{name: fmt.Sprintf("overload by %d streams", burst), long: true, kind: kindOverload, second: true})
	return append(rounds, further(r)...)
}

func named(name string) *point {
	for i := range points {
		if points[i].name == name {
			return &points[i]
		}
	}
	panic("no failpoint " + name)
}

func pointRound(p *point, n int, r draw) round {
	out := round{name: "at " + p.String(), kind: kindPoint, point: p}
	for range n {
		out.faults = append(out.faults, fault{pass: 1 + r.IntN(p.most), target: p.name, after: time.Duration(500+r.IntN(1500)) * time.Millisecond})
	}
	return out
}

func stopRound(p *point, r draw) round {
	out := pointRound(p, 2, r)
	out.name, out.kind = "SIGSTOP at "+p.String(), kindStopAt
	for i := range out.faults {
		out.faults[i].length = r.between(2*time.Second, 4*time.Second)
	}
	return out
}
