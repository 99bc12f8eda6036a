package transcriber_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// TestBreakerLeavesJobsToOthers: a worker whose engine only fails takes no more jobs, says so,
// and comes back by one job that succeeds; meanwhile another one does all of them.
func TestBreakerLeavesJobsToOthers(t *testing.T) {
	cfg := settings(t)
	cfg.Resilience.CircuitBreaker.OpenFor = 300 * time.Millisecond
	cfg.STT.MaxDeliveries = 100
	var broken atomic.Bool
	var failed, done atomic.Int32
	broken.Store(true)
	b, _, w := workWith(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		if broken.Load() {
			failed.Add(1)
			return transcriber.Transcript{}, errors.New("broken")
		}
		done.Add(1)
		return transcriber.Transcript{Text: "mended"}, nil
	}})
	rt := w.Runtime()
	state := func() float64 { return testutil.ToFloat64(rt.Metrics.BreakerState.WithLabelValues("fake")) }
	within := func(what string, is func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: never", what)
			}
		}
	}
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	within("open", func() bool { return state() == 2 })
	s := rt.Health.Status()
	if s.GetReady() || s.GetState() != obs.StateDegraded || !strings.Contains(strings.Join(s.GetReasons(), " "), "fake failed 3 times in a row") {
		t.Errorf("while it is open: %v", s)
	}
	if n := failed.Load(); n != int32(cfg.Resilience.CircuitBreaker.Failures) {
		t.Errorf("opened after %d failures", n)
	}
	within("one job is tried and fails", func() bool { return failed.Load() > 3 })
	within("open again", func() bool { return state() == 2 })
	var others atomic.Int32
	work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		others.Add(1)
		return transcriber.Transcript{Text: "by another"}, nil
	}})
	const n = 20
	for i := 2; i <= n; i++ {
		if err := b.PublishJob(t.Context(), job(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range awaitResults(t, b, n) {
		if r.GetKind() != rtapv1.Result_KIND_TEXT {
			t.Errorf("result %v", r)
		}
	}
	if others.Load() < n {
		t.Errorf("the other worker did %d of %d jobs", others.Load(), n)
	}
	broken.Store(false)
	for i := n + 1; state() != 0; i++ { // until the broken one gets one to try
		if i > n+3000 {
			t.Fatal("the breaker does not close again")
		}
		if err := b.PublishJob(t.Context(), job(i)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	within("ready", func() bool { return rt.Health.Status().GetReady() })
	if s := rt.Health.Status(); s.GetState() != obs.StateActive || done.Load() == 0 {
		t.Errorf("after it was mended: %v", s)
	}
	if in := testutil.ToFloat64(rt.Metrics.BulkheadInUse.WithLabelValues("fake")); in > 1 {
		t.Errorf("%v inferences at once", in)
	}
}
