package transcriber_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"google.golang.org/protobuf/proto"
)

// TestRetryOfADeadLetter: the first retry fails and leaves the letter, the second brings the
// text, once, beside the dead result, and takes the letter away.
func TestRetryOfADeadLetter(t *testing.T) {
	cfg := settings(t)
	cfg.STT.MaxDeliveries = 1
	var broken atomic.Bool
	broken.Store(true)
	b, _, w := workWith(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		if broken.Load() {
			return transcriber.Transcript{}, errors.New("broken")
		}
		return transcriber.Transcript{Text: "at last"}, nil
	}})
	outcomes := make(chan *nats.Msg, 8)
	sub, err := b.Conn().ChanSubscribe(bus.Event("stt", bus.KindRetry), outcomes)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	outcome := func() string {
		select {
		case m := <-outcomes:
			e := &rtapv1.ServiceEvent{}
			if err := wire.UnmarshalJSON(m.Data, e); err != nil {
				t.Fatal(err)
			}
			return e.GetAttributes()[bus.RetryOutcome]
		case <-time.After(time.Minute):
			t.Fatal("the worker says nothing of the retry")
			return ""
		}
	}
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	if got := awaitResults(t, b, 1); got[0].GetKind() != rtapv1.Result_KIND_DEAD {
		t.Fatalf("result %v", got[0])
	}
	letters := func() (all []bus.DeadLetter) {
		if err := b.DeadLetters(t.Context(), func(l bus.DeadLetter) error { all = append(all, l); return nil }); err != nil {
			t.Fatal(err)
		}
		return all
	}
	l := letters()
	if len(l) != 1 || l[0].GetJob().GetSegmentId() != "s-1-1" || len(l[0].GetJob().GetPcm()) != 2 || l[0].GetReason() == "" {
		t.Fatalf("letters %v", l)
	}
	if err := b.RetryDead(t.Context(), l[0]); err != nil {
		t.Fatal(err)
	}
	if got := outcome(); got != bus.RetryFailed || len(letters()) != 1 {
		t.Errorf("the first retry: %s, %d letters", got, len(letters()))
	}
	broken.Store(false)
	for range 2 { // two operators at once
		if err := b.RetryDead(t.Context(), l[0]); err != nil {
			t.Fatal(err)
		}
	}
	if got := outcome(); got != bus.RetryStored || len(letters()) != 0 {
		t.Errorf("the second retry: %s, %d letters", got, len(letters()))
	}
	results := awaitResults(t, b, 2) // and no job is left
	if results[0].GetKind() != rtapv1.Result_KIND_DEAD || results[1].GetRecognition().GetText() != "at last" {
		t.Errorf("results %v", results)
	}
	s, err := b.JS().Stream(t.Context(), bus.StreamResults)
	if err != nil {
		t.Fatal(err)
	}
	msg, err := s.GetLastMsgForSubject(t.Context(), bus.ResultLate("s", 1))
	if err != nil {
		t.Fatal(err)
	}
	late := &rtapv1.Result{}
	if err := proto.Unmarshal(msg.Data, late); err != nil || late.GetRecognition().GetText() != "at last" || late.GetOrdinal() != 1 {
		t.Errorf("late result %v, %v", late, err)
	}
	if info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(bus.AllResults)); err != nil || info.State.Msgs != 2 {
		t.Errorf("%d results, %v", info.State.Msgs, err)
	}
	if n := testkit.Metric(t, w.Runtime().Metrics.Registry, `rtap_stt_context_total{outcome="none"}`); n != 1 {
		t.Errorf("%g finals were counted, want the one text", n)
	}
}
