package bus_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
)

// TestDriftIsReportedAndPutRight: what somebody changed by hand, and what the configuration
// changed, is as it should be after the next set-up, and told, each once.
func TestDriftIsReportedAndPutRight(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	id, err := b.LogID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change := func(stream string, do func(*jetstream.StreamConfig)) {
		s, err := b.JS().Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		c := s.CachedInfo().Config
		do(&c)
		if _, err := b.JS().UpdateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	change(bus.StreamJobs, func(c *jetstream.StreamConfig) { c.Discard, c.AllowDirect = jetstream.DiscardOld, false })
	change(bus.StreamDrafts, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 })
	change("KV_"+bus.BucketCheckpoints, func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 9 })
	cfg.Streams.Events.MaxAge = time.Hour
	var told []bus.Drift
	b.OnDrift("", func(d bus.Drift) { told = append(told, d) })
	for range 2 { // the second one finds nothing to do
		if err := b.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]string{
		bus.StreamJobs: "discard DiscardOld, now DiscardNew; allow_direct false, now true", bus.StreamDrafts: "max_msgs_per_subject 5, now 1",
		"KV_" + bus.BucketCheckpoints: "max_msgs_per_subject 9, now 1", bus.StreamEvents: "max_age 168h0m0s, now 1h0m0s",
	}
	for _, d := range told {
		if !strings.Contains(d.String(), want[d.Stream]) || want[d.Stream] == "" || d.Kept || (len(d.Owned) == 0) != (d.Stream == bus.StreamEvents) {
			t.Errorf("told %q, want %q", d, want[d.Stream])
		}
		delete(want, d.Stream)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v", want)
	}
	if again, err := b.LogID(t.Context()); err != nil || again != id {
		t.Errorf("the log is %q, was %q: %v", again, id, err)
	}
}

// TestWhatCannotBeChangedNamesTheWayOut: it stands in the bus's problem as well.
func TestWhatCannotBeChangedNamesTheWayOut(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	conn, err := nats.Connect(cfg.NATS.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: bus.StreamJobs, Subjects: []string{bus.AllFinalJob, bus.AllReady}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	b, err := bus.Connect(cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Conn().Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.Run(ctx) }()
	defer func() { cancel(); <-done }()
	const want = "stream RTAP_JOBS: it has storage Memory, and RTAP needs File, which cannot be changed in place: stop RTAP, save finals with `rtap backup`"
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(b.Problem(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the problem is %q, want %q", b.Problem(), want)
		}
	}
	if err := js.DeleteStream(t.Context(), bus.StreamJobs); err != nil {
		t.Fatal(err)
	}
	if err := b.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); b.Problem() != ""; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the problem is still %q", b.Problem())
		}
	}
}

// TestStreamsAreKeptAsTheirOwnerSays: a gateway with another profile leaves the audio as
// capture has it.
func TestStreamsAreKeptAsTheirOwnerSays(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	cfg.Streams.Audio.MaxAge, cfg.Streams.Events.MaxAge = 7*time.Minute, 9*time.Hour
	for _, tt := range []struct{ service, told string }{
		{"vad", ""},
		{"egress", bus.StreamEvents},
		{"capture", bus.StreamAudio},
		{"", ""}, // nothing is left to do
	} {
		told := ""
		b.OnDrift(tt.service, func(d bus.Drift) { told += d.Stream })
		if err := b.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if told != tt.told {
			t.Errorf("%s has changed %q, want %q", tt.service, told, tt.told)
		}
	}
}
