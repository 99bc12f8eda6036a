package transcriber_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestNoWorkIsNoError: a worker that waits for longer than a request for work lasts is idle,
// while one whose consumer is gone has to make it anew.
func TestNoWorkIsNoError(t *testing.T) {
	b := testkit.Bus(t, settings(t))
	s, err := b.JS().Stream(t.Context(), bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "stt-final", FilterSubject: bus.AllFinalJob, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(jetstream.FetchMaxWait(time.Second)); !transcriber.Idle(err) {
		t.Errorf("without work: %v, want an idle one", err)
	}
	if err := s.DeleteConsumer(t.Context(), "stt-final"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(jetstream.FetchMaxWait(time.Second)); err == nil || transcriber.Idle(err) {
		t.Errorf("without its consumer: %v, want another error", err)
	}
}
