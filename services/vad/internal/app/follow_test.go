package app

import (
	"context"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// TestEndedStreamsAreLeftAlone: who has just started takes neither lease nor model for a stream
// that is over, but does for one whose end nobody has stored, or that has begun anew.
func TestEndedStreamsAreLeftAlone(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := process(t, cfg)
	b := rt.Bus
	ctx, _ := connected(t, rt)
	f := &follower{rt: rt}
	expect := func(what string, want uint64) {
		t.Helper()
		if got := f.over(ctx, "s"); got != want {
			t.Errorf("%s: over with epoch %d, want %d", what, got, want)
		}
	}
	expect("nobody knows it", 0)
	utterances(t, b, 1)
	expect("nobody has heard it", 0)
	following, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = Follow(following, rt, func() (Detector, error) { return loud{}, nil })
	}()
	within(t, "its end", func() bool { return f.over(ctx, "s") == 1 }, func() any { return rt.Health.Status() })
	stop()
	<-done
	results, err := b.JS().Stream(ctx, bus.StreamResults)
	if err != nil {
		t.Fatal(err)
	}
	if err := results.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	expect("its end was recorded and not stored", 0)
	data, err := proto.Marshal(&rtapv1.Frame{StreamId: "s", Epoch: 2, Clock: clock.Now(), Pcm: make([]byte, 2*frameSamples)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.JS().Publish(ctx, bus.Audio("s"), data); err != nil {
		t.Fatal(err)
	}
	expect("it has begun anew", 0)
}
