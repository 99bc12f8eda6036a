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
	for i := range rounds {
		rounds[i].second = true
	}
	return rounds
}
