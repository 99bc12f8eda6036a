package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

const (
	// burst is how many streams come at once while a few are on.
	burst = 16
	// after is how long the few have been on.
	after = 5 * time.Second
	// backlog is how long it may take until everything is out that the burst has left.
	backlog = 4 * time.Minute
	// overloaded is how late a final is on a machine that has more to do than it can.
	overloaded = 2 * time.Second
)

// times is a set that plays its recordings again and again, as n streams.
func (s *set) times(n int) *set {
	out := &set{}
	for i := range n {
		k := i % len(s.files)
		out.recordings, out.files = append(out.recordings, s.recordings[k]), append(out.files, s.files[k])
		if s.references != nil {
			out.references = append(out.references, s.references[k])
		}
	}
	return out
}

// overload plays many streams at once beside those that are on, and waits until every final
// of them is out: that is its recovery, from the last audio on.
func overload(ctx context.Context, p *rig.Rig, n int, short *set, results *rig.Results, out *outcome) error {
	sleep(ctx, after)
	s := short.times(burst)
	load, err := newBurden(ctx, p)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for i, file := range s.files {
		files[fmt.Sprintf("r%02d-b%02d", n, i+1)] = file
	}
	streams := slices.Sorted(maps.Keys(files))
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	var clients [][]*rig.Client
	for _, stream := range streams {
		c := rig.NewClient("the client of the first gateway", stream, backlog, load.heard, p.Gateways[0].WebSocket)
		clients = append(clients, []*rig.Client{c})
		all.Go(func() { c.Run(ctx) })
	}
	p.Note("a burst of %d streams", len(streams))
	played := p.PlayMore(files)
	watching, watched := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { load.watch(watching) })
	select {
	case <-played:
	case <-time.After(s.length() + backlog):
	case <-ctx.Done():
	}
	at := time.Now()
	out.Faults++
	over := func() bool {
		return !slices.ContainsFunc(clients, func(of []*rig.Client) bool { return !of[0].Ended() })
	}
	for time.Since(at) < backlog && ctx.Err() == nil && !over() {
		time.Sleep(20 * time.Millisecond)
	}
	conclude(p, at, time.Since(at), over(), out, "the burst")
	watched()
	watcher.Wait()
	out.Notes = append(out.Notes, fmt.Sprintf("%d streams at once for %.0f s", len(streams), s.length().Seconds()))
	load.judge(out)
	return judge(ctx, p, s, streams, clients, results, out)
}
