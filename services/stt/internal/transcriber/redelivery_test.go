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
	if number, ahead, err := transcriber.OldestJob(t.Context(), b); err != nil || number != 1 || ahead > 0 {
		t.Fatalf("the oldest job is %d, %v in the future; %v", number, ahead, err)
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
	if _, ahead, err := transcriber.OldestJob(t.Context(), b); err != nil || ahead != 0 {
		t.Errorf("without jobs: %v, %v", ahead, err)
	}
}
