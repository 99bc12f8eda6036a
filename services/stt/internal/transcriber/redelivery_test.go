package transcriber_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestRedeliver: what a dead worker has in hand comes to another one although the server would keep it.
// (That a server whose clock is set back keeps it, `make chaos` shows.)
func TestRedeliver(t *testing.T) {
	cfg := settings(t)
	cfg.STT.AckWait = longWait
	b := testkit.Connect(t, cfg)
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	c, err := b.JS().CreateConsumer(t.Context(), bus.StreamJobs, jetstream.ConsumerConfig{
		Durable: "stt-final", FilterSubject: bus.AllFinalJob, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: longWait, MaxDeliver: -1, MaxAckPending: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); err != nil {
		t.Fatal(err)
	}
	work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "done"}, nil
	}})
	if err := transcriber.Redeliver(t.Context(), b, time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if got := awaitResults(t, b, 1); got[0].GetRecognition().GetText() != "done" {
		t.Errorf("result %v", got[0])
	}
	// Nothing is open any more, so there is nothing to do.
	made := func() time.Time {
		c, err := b.JS().Consumer(t.Context(), bus.StreamJobs, "stt-final")
		if err != nil {
			t.Fatal(err)
		}
		return c.CachedInfo().Created
	}
	before := made()
	if err := transcriber.Redeliver(t.Context(), b, 0); err != nil || !made().Equal(before) {
		t.Errorf("a consumer without open deliveries was made anew; %v", err)
	}
}

// TestClockSetBack: only a step back is one, by as much as the server's clock falls behind this machine's.
func TestClockSetBack(t *testing.T) {
	server, local := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), time.Now()
	back := transcriber.SetBack()
	for _, look := range []struct {
		what          string
		server, local time.Duration // since the look before
		want          time.Duration
	}{
		{"the first look", 0, 0, 0},
		{"nothing", 5 * time.Second, 5 * time.Second, 0},
		{"forward", time.Hour, 5 * time.Second, 0},
		{"back", 5*time.Second - 2*time.Hour, 5 * time.Second, 2 * time.Hour},
		{"and on", 5 * time.Second, 5 * time.Second, 0},
		{"a slow answer", 5 * time.Second, 20 * time.Second, 0},
		{"an outage", time.Minute, time.Minute, 0},
	} {
		server, local = server.Add(look.server), local.Add(look.local)
		if got := back(server, local); got != look.want {
			t.Errorf("%s: %v, want %v", look.what, got, look.want)
		}
	}
}

// TestStuckJob: who was started after a step acts on a job that has not moved for longer than anybody may
// work on one, and once.
func TestStuckJob(t *testing.T) {
	stored, local := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), time.Now()
	ahead := transcriber.Ahead(2 * time.Minute)
	for _, look := range []struct {
		what   string
		number uint64
		server time.Duration // from when the job was stored
		local  time.Duration // since the look before
		want   time.Duration
	}{
		{"seen first", 7, -time.Hour, 0, 0},
		{"somebody may be at it", 7, -time.Hour, time.Minute, 0},
		{"stuck", 7, -time.Hour, time.Minute, time.Hour},
		{"told already", 7, -time.Hour, time.Hour, 0},
		{"the next one", 8, -time.Hour, time.Second, 0},
		{"no job", 0, -time.Hour, time.Hour, 0},
		{"waits, and no clock was set", 9, time.Second, time.Second, 0},
		{"waits long", 9, time.Hour, time.Hour, 0},
	} {
		local = local.Add(look.local)
		state := jetstream.StreamState{FirstSeq: look.number, FirstTime: stored, Msgs: min(1, look.number)}
		if got := ahead(state, stored.Add(look.server), local); got != look.want {
			t.Errorf("%s: %v, want %v", look.what, got, look.want)
		}
	}
}
