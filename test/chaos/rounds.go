package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wire"
	"github.com/rtap/rtap/test/chaos/oracle"
	"github.com/rtap/rtap/test/chaos/rig"
)

// drain is how long after the audio's end everything may take to be out.
const drain = 90 * time.Second

// set is recordings that are played together, as files.
type set struct {
	recordings []material.Recording
	files      []string
	references []*oracle.Reference // nil until the run without faults
}

func (s *set) length() time.Duration {
	longest := 0
	for _, r := range s.recordings {
		longest = max(longest, r.Samples)
	}
	return time.Duration(longest) * time.Second / 16000
}

// play runs a round on a pipeline.
func play(ctx context.Context, p *rig.Rig, n int, r round, s, short *set) (*outcome, error) {
	out := newOutcome(r)
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 3*s.length()+drain+2*time.Minute+backlog)
	defer cancel()
	w := &watch{streams: map[string]*followed{}}
	files := map[string]string{}
	var clients [][]*rig.Client
	var all sync.WaitGroup
	for i := range s.recordings {
		stream := fmt.Sprintf("r%02d-%d", n, i+1)
		files[stream] = s.files[i]
		roaming := rig.NewClient("the client that goes from gateway to gateway", stream, 1500*time.Millisecond, w.heard, p.Gateways[0].WebSocket, p.Gateways[1].WebSocket)
		w.streams[stream] = &followed{rec: &s.recordings[i], ended: roaming.Ended}
		of := []*rig.Client{
			roaming,
			rig.NewClient("the client of the first gateway", stream, 20*time.Second, nil, p.Gateways[0].WebSocket),
			rig.NewClient("the client of the second gateway", stream, 20*time.Second, nil, p.Gateways[1].WebSocket),
		}
		clients = append(clients, of)
		for _, c := range of {
			all.Go(func() { c.Run(ctx) })
		}
	}
	results := p.FollowResults(ctx)
	p.Note("round %d: %s", n, r.name)
	inject(ctx, p, r, files, w, out)
	if r.kind == kindOverload {
		if err := overload(ctx, p, n, short, results, out); err != nil {
			return out, err
		}
	}
	// Whatever is still owed comes now.
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(s.length() + drain):
		out.Notes = append(out.Notes, "the streams did not end in time")
	}
	out.Failover = w.failover().Seconds()
	out.account()
	if err := judge(ctx, p, s, slices.Sorted(maps.Keys(files)), clients, results, out); err != nil {
		return out, err
	}
	cancel()
	<-done
	p.StopSources()
	out.Took = time.Since(began)
	out.Seconds = out.Took.Seconds()
	return out, nil
}

// judge reads the logs and compares what clients saw with them.
func judge(ctx context.Context, p *rig.Rig, s *set, streams []string, clients [][]*rig.Client, results *rig.Results, out *outcome) error {
	references := make([]*oracle.Reference, len(streams))
	unseen := !results.All(ctx, p.Bus)
	if unseen && out.Kind == kindNone {
		out.Over++
		out.Notes = append(out.Notes, "not every result was seen, although nothing happened")
	}
	for i, stream := range streams {
		logged, err := p.Finals(ctx, stream)
		if err != nil {
			return err
		}
		var log []wire.Entry
		for _, e := range logged {
			log = append(log, e.Entry)
		}
		rec := &s.recordings[i]
		references[i] = oracle.NewReference(rec, log)
		var ref *oracle.Reference
		if s.references != nil {
			ref = s.references[i]
		}
		stored := results.Of(stream, logged)
		faults := oracle.Faults{Restarts: p.Restarts() && out.Kind == kindKill, NoContext: out.ahead, Unseen: unseen}
		judged := oracle.Judge
		if out.Kind == kindDevice && ref != nil {
			judged = oracle.JudgeDevice
		}
		v := judged(rec, ref, log, stored, faults)
		for _, c := range clients[i] {
			got, doubled, holes := c.Heard()
			v.Agree(c.Name, log, got, doubled, holes)
		}
		dead, err := p.Dead(ctx, stream)
		if err != nil {
			return err
		}
		v.Lost += dead
		if dead > 0 {
			v.Notes = append(v.Notes, fmt.Sprintf("%d segments ended dead", dead))
		}
		for k := range v.Notes {
			v.Notes[k] = stream + ": " + v.Notes[k]
		}
		out.Add(v)
	}
	if out.Kind == kindNone && s.references == nil {
		s.references = references
	}
	return nil
}

// inject plays the files and does the round's faults, one after the other.
func inject(ctx context.Context, p *rig.Rig, r round, files map[string]string, w *watch, out *outcome) {
	if r.kind == kindPoint || r.kind == kindStopAt {
		atPoint(ctx, p, r, files, w, out)
		return
	}
	stop := func() {}
	if r.kind == kindDevice {
		streams := slices.Sorted(maps.Keys(files))
		var paths []string
		for _, stream := range streams {
			paths = append(paths, files[stream])
		}
		var err error
		if stop, err = p.Record(ctx, streams, paths, w.length()); err != nil {
			out.Lost++
			out.missed("%v", err)
			return
		}
	} else {
		p.Play(files)
	}
	defer func() { stop() }()
	if r.kind == kindClients {
		out.Faults = crowd(ctx, p, slices.Sorted(maps.Keys(files)), w.length())
	}
	over := func() bool {
		for _, f := range w.streams {
			if !f.ended() {
				return false
			}
		}
		return true
	}
	if len(r.faults) > 0 {
		w.recovered(ctx, time.Now()) // it has begun
	}
	began := time.Now()
	for _, f := range r.faults {
		sleep(ctx, f.after)
		if over() || ctx.Err() != nil || r.kind == kindDevice && time.Since(began) > w.length() {
			return
		}
		w.fault()
		at := time.Now()
		if err := strike(ctx, p, r, f); err != nil {
			p.Note("%s: %v", f.target, err)
			out.missed("%s: %v", f.target, err)
			continue
		}
		if r.kind == kindDisk { // there is space again
			w.fault()
			at = time.Now()
		}
		out.Faults++
		out.Schedule = append(out.Schedule, f.String())
		if r.kills(f) {
			out.Kills++
		}
		settle(ctx, p, w, at, out, f.target)
	}
}

func settle(ctx context.Context, p *rig.Rig, w *watch, at time.Time, out *outcome, what string) {
	took, ok := w.recovered(ctx, at)
	conclude(p, at, took, ok, out, what)
}

// conclude notes how a fault was got over.
func conclude(p *rig.Rig, at time.Time, took time.Duration, ok bool, out *outcome, what string) {
	p.Note("%s: recovered %v after %v", what, ok, took)
	if !ok {
		out.Stuck++
		out.Notes = append(out.Notes, fmt.Sprintf("%s at %s: no text within %v", what, at.UTC().Format("15:04:05.000"), patience))
		return
	}
	out.Recovery = append(out.Recovery, took.Seconds())
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
