package app

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

const lookEvery = 2 * time.Second

// stores are the JetStream streams whose size is shown.
var stores = []string{
	bus.StreamAudio, bus.StreamIngest, bus.StreamDrafts, bus.StreamJobs, bus.StreamResults, bus.StreamTranscripts, bus.StreamDead,
	bus.StreamEvents, "KV_" + bus.BucketLeases, "KV_" + bus.BucketCheckpoints, "KV_" + bus.BucketConfig,
}

// queues are those whose messages wait for somebody.
var queues = map[string]string{bus.StreamJobs: "jobs", bus.StreamDrafts: "drafts", bus.StreamDead: "dead"}

// watchStores keeps the metrics of what is stored and of what waits up to date. Every
// gateway has the same figures, since they are the server's.
func watchStores(ctx context.Context, rt *service.Runtime, hub *feed.Hub) error {
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		rt.Metrics.BufferUtilization.WithLabelValues("egress").Set(hub.Fill())
		for _, name := range stores {
			if err := look(ctx, rt, name); err != nil {
				rt.Log.Debug("looking at a store failed", "store", name, "error", err)
				break // the server is away; the others would wait as long
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func look(ctx context.Context, rt *service.Runtime, name string) error {
	ctx, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	s, err := rt.Bus.JS().Stream(ctx, name)
	if err != nil {
		return err
	}
	info := s.CachedInfo()
	rt.Metrics.StoreBytes.WithLabelValues(name).Set(float64(info.State.Bytes))
	if info.Config.MaxBytes > 0 {
		rt.Metrics.StoreLimit.WithLabelValues(name).Set(float64(info.Config.MaxBytes))
	}
	queue, waits := queues[name]
	if !waits {
		return nil
	}
	rt.Metrics.QueueDepth.WithLabelValues(queue).Set(float64(info.State.Msgs))
	rt.Metrics.QueueAge.WithLabelValues(queue).Set(age(info))
	return nil
}

// age is how long the oldest message has been there by the server's own clock, in seconds.
func age(info *jetstream.StreamInfo) float64 {
	if info.State.Msgs == 0 {
		return 0
	}
	return max(0, info.TimeStamp.Sub(info.State.FirstTime).Seconds())
}
