package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestAgeOfTheOldestJob grows while nobody takes it.
func TestAgeOfTheOldestJob(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	m := obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Service: "egress", Metrics: m, Bus: b}
	jobs := func() (depth, age float64) {
		t.Helper()
		if err := look(t.Context(), rt, bus.StreamJobs); err != nil {
			t.Fatal(err)
		}
		families, err := m.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, one := range f.GetMetric() {
				if labels := one.GetLabel(); len(labels) != 1 || labels[0].GetValue() != "jobs" {
					continue
				}
				switch f.GetName() {
				case "rtap_queue_depth":
					depth = one.GetGauge().GetValue()
				case "rtap_queue_age_seconds":
					age = one.GetGauge().GetValue()
				}
			}
		}
		return depth, age
	}
	publish := func(segment string) {
		t.Helper()
		if err := b.PublishJob(t.Context(), &rtapv1.FinalJob{StreamId: "s", SegmentId: segment}); err != nil {
			t.Fatal(err)
		}
	}
	if depth, age := jobs(); depth != 0 || age != 0 {
		t.Errorf("empty: %v, %v s", depth, age)
	}
	publish("s-1")
	time.Sleep(50 * time.Millisecond)
	publish("s-2")
	depth, first := jobs()
	if depth != 2 || first < .05 {
		t.Errorf("two: %v, %v s", depth, first)
	}
	time.Sleep(50 * time.Millisecond)
	if _, age := jobs(); age < first+.05 {
		t.Errorf("later: %v s, before %v s", age, first)
	}
	s, err := b.JS().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteMsg(t.Context(), s.CachedInfo().State.FirstSeq); err != nil {
		t.Fatal(err)
	}
	if depth, age := jobs(); depth != 1 || age < .05 {
		t.Errorf("one: %v, %v s", depth, age)
	}
}
