package top

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
)

// patience is how long one look may take.
const patience = 3 * time.Second

// sample is what was there at one moment. Counters go on from one sample to the next.
type sample struct {
	at        time.Time
	server    Server
	processes []process
	streams   []jetstream.StreamInfo
	pending   map[string]uint64 // by stream: what consumers have not settled yet
}

type process struct {
	Process
	cpuSeconds float64
	metrics    running.Families
}

// take looks once.
func take(ctx context.Context, cfg config.NATS) sample {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	p := running.Find(ctx, cfg, "top")
	defer p.Close()
	s := sample{at: time.Now(), pending: map[string]uint64{}}
	s.server.URL = cfg.URL
	if p.Problem != nil {
		s.server.Problem = p.Problem.Error()
	} else {
		s.server.Version = p.Conn.ConnectedServerVersion()
		if rtt, err := p.Conn.RTT(); err == nil {
			s.server.RoundTripMS = rtt.Seconds() * 1000
		}
		if js, err := jetstream.New(p.Conn); err == nil {
			s.jetStream(ctx, js)
		}
	}
	s.ask(ctx, p.Targets)
	s.processes = append(s.processes, beside(p.Targets, listener(cfg.URL))...)
	return s
}

// jetStream lists RTAP's streams and what waits in them.
func (s *sample) jetStream(ctx context.Context, js jetstream.JetStream) {
	if info, err := js.AccountInfo(ctx); err == nil {
		s.server.StoredBytes, s.server.MemoryBytes = info.Store, info.Memory
	} else {
		s.server.Problem = "jetstream: " + err.Error()
	}
	list := js.ListStreams(ctx, jetstream.WithStreamListSubject("rtap.v1.>"))
	for info := range list.Info() {
		s.streams = append(s.streams, *info)
		stream, err := js.Stream(ctx, info.Config.Name)
		if err != nil {
			continue // it has just gone
		}
		for c := range stream.ListConsumers(ctx).Info() {
			s.pending[info.Config.Name] += c.NumPending + uint64(c.NumAckPending)
		}
	}
	slices.SortFunc(s.streams, func(a, b jetstream.StreamInfo) int { return cmp.Compare(a.Config.Name, b.Config.Name) })
}

// ask gets the metrics of all processes at once.
func (s *sample) ask(ctx context.Context, targets []control.Target) {
	s.processes = make([]process, len(targets))
	var wg sync.WaitGroup
	for i, t := range targets {
		wg.Go(func() {
			p := process{Process: Process{
				Service: t.GetService(), Instance: t.GetInstance(), State: t.GetState(), Ready: t.GetReady(),
				Reasons: append([]string{}, t.GetReasons()...), Model: t.GetAttributes()["model"],
				UptimeSeconds: time.Since(t.GetStartedAt().AsTime()).Seconds(), Streams: len(t.GetStreams()),
			}}
			metrics, err := running.Metrics(ctx, t)
			if err != nil {
				p.Reasons = append(p.Reasons, "metrics: "+err.Error())
			}
			p.metrics = metrics
			p.cpuSeconds, _ = metrics.Value("process_cpu_seconds_total")
			resident, _ := metrics.Value("process_resident_memory_bytes")
			p.MemoryBytes = uint64(resident)
			s.processes[i] = p
		})
	}
	wg.Wait()
}
