package main

import (
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

// elsewhere are failpoints that more processes come to than those of [points].
var elsewhere = []point{
	{name: "lease/taken", of: "egress", processes: gateways, most: 1},
	{name: "lease/releasing", of: "egress", processes: gateways, most: 1, with: handOver},
	// What a capture that is asked to stop does is end its streams: it comes there at their end.
	{name: "lease/releasing", of: "capture", processes: captures, most: 1},
}

// further are the rounds behind all others, most of the suite's second part.
func further(r draw) (rounds []round) {
	add := func(on rig.Kind, kind, name string, faults []fault) {
		rounds = append(rounds, round{name: name, long: true, on: on, kind: kind, faults: faults})
	}
	add(rig.ByUp, kindStop, "SIGSTOP 1-10 s rtap up", r.some(4, []string{rig.Up}, time.Second, 10*time.Second))
	add(rig.Cluster, kindKill, "kill -9 cluster followers", r.some(4, []string{follower, otherFollower}, 1, 2))
	add(rig.Cluster, kindStop, "SIGSTOP 1-10 s cluster", r.some(4, []string{follower, leader, otherFollower, leader}, time.Second, 10*time.Second))
	for i := range elsewhere {
		n := 6
		if elsewhere[i].of == "capture" {
			n = 2 // one and the other
		}
		rounds = append(rounds, pointRound(&elsewhere[i], n, r))
	}
	// Between the lease and the first write: who sleeps there finds a successor at work.
	late := &point{name: "capture/positioned", processes: captures, most: 1, with: "capture"}
	for _, p := range []*point{named("lease/taken"), &elsewhere[0], late} {
		rounds = append(rounds, stopRound(p, r))
	}
	// In part the server lets go by its wall clock: a step back is worst for whoever dies just then.
	clock := func(name string, targets []string) {
		add(rig.Stepped, kindClock, name, r.some(len(targets), targets, 1, 2))
		for i := range targets {
			off := time.Duration(1+r.IntN(2)) * time.Hour
			if i%2 == 1 { // and back again
				off = -off
			}
			rounds[len(rounds)-1].faults[i].clock = off
		}
	}
	clock("wall clock", []string{nobody, nobody, nobody, nobody, nobody, nobody})
	clock("wall clock, kill -9 of each", []string{"capture", active, rig.NATS, "vad", active, "stt", "vad", "capture"})
	// Set back, and further each time, as somebody dies with a job in hand.
	back := pointRound(named("stt/taken"), 3, r)
	back.name, back.on = "wall clock set back, job in hand", rig.Stepped
	for i := range back.faults {
		back.faults[i].clock = -time.Duration(i+1) * time.Hour
	}
	rounds = append(rounds, back)
	for i := range rounds {
		rounds[i].second = true
	}
	return rounds
}
