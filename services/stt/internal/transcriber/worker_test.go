package transcriber_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(hangingWorker); url != "" {
		hangForever(url)
	}
	goleak.VerifyTestMain(m)
}

// engine is a transcriber.Engine made of a function.
type engine struct {
	transcribe func(ctx context.Context, pcm []float32) (transcriber.Transcript, error)
	opts       func(transcriber.Options)
	prompted   bool
	prefixed   bool
}

var _ transcriber.Engine = (*engine)(nil)

func (e *engine) Transcribe(ctx context.Context, pcm []float32, opts transcriber.Options) (transcriber.Transcript, error) {
	if e.opts != nil {
		e.opts(opts)
	}
	return e.transcribe(ctx, pcm)
}
func (e *engine) Info() transcriber.Info {
	return transcriber.Info{Engine: "fake", Model: "fake", Prompted: e.prompted, Prefixed: e.prefixed}
}
func (e *engine) Close() error { return nil }

func settings(t *testing.T) *config.Config {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	return cfg
}

// work runs a worker until the test ends or stop is called.
func work(t *testing.T, cfg *config.Config, e transcriber.Engine) (b *bus.Bus, stop func()) {
	t.Helper()
	b, stop, _ = workWith(t, cfg, e)
	return b, stop
}

func workWith(t *testing.T, cfg *config.Config, e transcriber.Engine) (b *bus.Bus, stop func(), w *transcriber.Worker) {
	t.Helper()
	b = testkit.Connect(t, cfg)
	m := obs.NewMetrics("stt", "test")
	w = transcriber.New(&service.Runtime{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Service: "stt", Instance: t.Name(), Metrics: m,
		Health: obs.NewHealth("stt", "i", "test", m), Bus: b,
	}, e, transcriber.Options{Language: "en"})
	w.Runtime().Health.SetState(obs.StateActive)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return b, stop, w
}

func job(n int) *rtapv1.FinalJob {
	return &rtapv1.FinalJob{StreamId: "s", Ordinal: uint64(n), SegmentId: fmt.Sprint("s-1-", n), Pcm: make([]byte, 2*n)}
}

// awaitResults waits until n results are stored and no job is left.
func awaitResults(t *testing.T, b *bus.Bus, n int) []*rtapv1.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := b.JS().OrderedConsumer(ctx, bus.StreamResults, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out []*rtapv1.Result
	for len(out) < n {
		m, err := c.Next(jetstream.FetchContext(ctx))
		if err != nil {
			t.Fatalf("after %d results: %v", len(out), err)
		}
		r := &rtapv1.Result{}
		if err := proto.Unmarshal(m.Data(), r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	jobs, err := b.JS().Stream(ctx, bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	for {
		info, err := jobs.Info(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs == 0 {
			return out
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestTwoWorkersShareAndFirstResultStands(t *testing.T) {
	cfg := settings(t)
	var calls [2]atomic.Int32
	var b *bus.Bus
	for i := range calls {
		b, _ = work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
			calls[i].Add(1)
			time.Sleep(5 * time.Millisecond)
			return transcriber.Transcript{Text: "hello"}, nil
		}})
	}
	if err := b.StoreResult(t.Context(), &rtapv1.Result{StreamId: "s", Ordinal: 1, Kind: rtapv1.Result_KIND_TEXT, Worker: "earlier"}); err != nil {
		t.Fatal(err)
	}
	const n = 40
	for i := 1; i <= n; i++ {
		if err := b.PublishJob(t.Context(), job(i)); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[uint64]string{}
	for _, r := range awaitResults(t, b, n) {
		if _, twice := seen[r.GetOrdinal()]; twice {
			t.Errorf("ordinal %d twice", r.GetOrdinal())
		}
		seen[r.GetOrdinal()] = r.GetWorker()
	}
	if seen[1] != "earlier" {
		t.Error("the first result did not stand")
	}
	if calls[0].Load() == 0 || calls[1].Load() == 0 || calls[0].Load()+calls[1].Load() != n-1 {
		t.Errorf("work was shared %d to %d", calls[0].Load(), calls[1].Load())
	}
}

func TestFailedJobComesAgainAndIsGivenUp(t *testing.T) {
	cfg := settings(t)
	cfg.STT.MaxDeliveries = 1
	b, _ := work(t, cfg, &engine{transcribe: func(_ context.Context, pcm []float32) (transcriber.Transcript, error) {
		if len(pcm) == 1 {
			return transcriber.Transcript{}, errors.New("broken")
		}
		return transcriber.Transcript{Dropped: "silence"}, nil
	}})
	odd := job(2)
	odd.Pcm = []byte{1}
	for _, j := range []*rtapv1.FinalJob{job(1), odd, job(3)} {
		if err := b.PublishJob(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	kinds := map[uint64]rtapv1.Result_Kind{}
	for _, r := range awaitResults(t, b, 3) {
		kinds[r.GetOrdinal()] = r.GetKind()
		if r.GetReason() == "" {
			t.Errorf("ordinal %d has no reason", r.GetOrdinal())
		}
	}
	if kinds[1] != rtapv1.Result_KIND_DEAD || kinds[2] != rtapv1.Result_KIND_DEAD || kinds[3] != rtapv1.Result_KIND_EMPTY {
		t.Errorf("kinds %v", kinds)
	}
	dead, err := b.JS().Stream(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := dead.Info(t.Context()); info.State.Msgs != 2 {
		t.Errorf("%d dead jobs", info.State.Msgs)
	}
}

func TestFinalEndsDraft(t *testing.T) {
	cfg := settings(t)
	drafting := make(chan struct{})
	b, _ := work(t, cfg, &engine{transcribe: func(ctx context.Context, pcm []float32) (transcriber.Transcript, error) {
		if len(pcm) == 500 { // the draft would never end by itself
			close(drafting)
			<-ctx.Done()
			return transcriber.Transcript{}, ctx.Err()
		}
		return transcriber.Transcript{Text: "done"}, nil
	}})
	if err := b.PublishDraft(&rtapv1.DraftJob{StreamId: "s", Ordinal: 1, Kind: rtapv1.DraftJob_KIND_INTERIM, CapturedAt: clock.Now(), Pcm: make([]byte, 1000)}); err != nil {
		t.Fatal(err)
	}
	<-drafting
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	if got := awaitResults(t, b, 1); got[0].GetRecognition().GetText() != "done" {
		t.Errorf("result %v", got[0])
	}
}

func TestDraftBecomesInterim(t *testing.T) {
	cfg := settings(t)
	b, _ := work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "so far"}, nil
	}})
	got := make(chan *nats.Msg, 1)
	sub, err := b.Conn().ChanSubscribe(bus.Interim("s"), got)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	// Captured 50 ms ago by the host's own clock, and an hour ago by the wall's, which somebody has set since.
	const age = 50 * time.Millisecond
	captured, began := clock.Ago(age), time.Now()
	captured.CapturedAt = timestamppb.New(began.Add(-time.Hour))
	if err := b.PublishDraft(&rtapv1.DraftJob{StreamId: "s", Ordinal: 1, Revision: 2, Kind: rtapv1.DraftJob_KIND_INTERIM, CapturedAt: captured, Pcm: make([]byte, 1000)}); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-got:
		if s := string(m.Data); !strings.Contains(s, `"transcript":"so far"`) || !strings.Contains(s, `"is_final":false`) || !strings.Contains(s, `"revision":2`) {
			t.Errorf("interim %s", s)
		}
		r := &rtapv1.Results{}
		if err := wire.UnmarshalJSON(m.Data, r); err != nil {
			t.Fatal(err)
		}
		most := float64((age + time.Since(began) + time.Millisecond).Milliseconds())
		if l := r.GetRtap().GetLatencyMs().GetPipeline(); l < float64(age.Milliseconds()) || l > most || r.GetRtap().GetUnsynchronised() {
			t.Errorf("latency %.0f ms of at most %.0f, unsynchronised %v on one host", l, most, r.GetRtap().GetUnsynchronised())
		}
	case <-time.After(20 * time.Second):
		t.Error("no interim")
	}
}
