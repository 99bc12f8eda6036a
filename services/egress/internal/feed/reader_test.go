package feed_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestInterimLatencyIsTheOneItCarries: wall time, which may have been set since it was captured, tells nothing.
func TestInterimLatencyIsTheOneItCarries(t *testing.T) {
	cfg := config.Default()
	testkit.Bus(t, cfg)
	rt := gateway(t, cfg)
	hub := feed.NewHub(rt)
	start(t, hub.Run)
	select {
	case <-hub.Ready():
	case <-time.After(30 * time.Second):
		t.Fatal("the hub is not ready")
	}
	queue, cancel := hub.Subscribe(8, func() {})
	defer cancel()
	for i, pipeline := range []float64{250, 500, 0} { // the last of a worker that does not tell it yet
		m := wire.NewResults(&rtapv1.Span{Epoch: 1}, &rtapv1.Recognition{Text: "so far"})
		m.Rtap.StreamId, m.Rtap.Ordinal, m.Rtap.Revision = "s", 1, uint32(i+1)
		m.Rtap.CapturedAt, m.Rtap.LatencyMs.Pipeline = timestamppb.New(time.Now().Add(-time.Hour)), pipeline
		if err := rt.Bus.PublishText(bus.Interim("s"), m); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		select {
		case <-queue:
		case <-time.After(30 * time.Second):
			t.Fatal("an interim is missing")
		}
	}
	const series = `rtap_interim_latency_seconds`
	count := func() float64 { return testkit.Metric(t, rt.Metrics.Registry, series+`_count{stream="s"}`) }
	for deadline := time.Now().Add(10 * time.Second); count() < 2 && time.Now().Before(deadline); { // it is counted after it is handed on
		time.Sleep(5 * time.Millisecond)
	}
	if sum := testkit.Metric(t, rt.Metrics.Registry, series+`_sum{stream="s"}`); count() != 2 || sum != 0.75 {
		t.Errorf("%.3f s in %.0f interims, want 0.75 in 2", sum, count())
	}
}
