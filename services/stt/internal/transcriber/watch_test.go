package transcriber_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// hangingWorker is the variable that makes this test program a worker whose engine hangs,
// on the server that it names.
const hangingWorker = "RTAP_TEST_HANGING_WORKER"

// longWait for an acknowledgement is longer than the tests': what comes again was given back.
const longWait = 10 * time.Minute

func hangForever(url string) {
	cfg := config.Default()
	cfg.NATS.URL, cfg.STT.JobTimeout, cfg.STT.AckWait = url, 1, longWait
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	b, err := bus.Connect(cfg, "hanging", log)
	if err != nil {
		panic(err)
	}
	go func() { _ = b.Run(context.Background()) }()
	_ = b.Await(context.Background())
	m := obs.NewMetrics("stt", "test")
	rt := &service.Runtime{Config: cfg, Log: log, Service: "stt", Instance: "hanging", Metrics: m, Health: obs.NewHealth("stt", "i", "test", m), Bus: b}
	_ = transcriber.New(rt, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) { select {} }}, transcriber.Options{}).Run(context.Background())
}

func TestHangEndsWorkerAndJobGoesOn(t *testing.T) {
	cfg := settings(t)
	cfg.STT.AckWait = longWait
	b := testkit.Connect(t, cfg)
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	hang(t, cfg)
	b, _ = work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "done"}, nil
	}})
	if got := awaitResults(t, b, 1); got[0].GetRecognition().GetText() != "done" || got[0].GetWorker() == "hanging" {
		t.Errorf("result %v", got[0])
	}
}

// hang runs a worker process whose engine hangs until its watchdog ends it.
func hang(t *testing.T, cfg *config.Config) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), hangingWorker+"="+cfg.NATS.URL)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 70 || !strings.Contains(string(out), "an inference hangs") {
		t.Fatalf("the hanging worker ended with %v: %s", err, out)
	}
}

// TestJobThatHangsWorkersIsGivenUp: it takes so many workers with it, and no more.
func TestJobThatHangsWorkersIsGivenUp(t *testing.T) {
	cfg := settings(t)
	cfg.STT.AckWait, cfg.STT.MaxDeliveries = longWait, 2
	b := testkit.Connect(t, cfg)
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	for range cfg.STT.MaxDeliveries {
		hang(t, cfg)
	}
	b, _ = work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		t.Error("the job was tried once more")
		return transcriber.Transcript{}, nil
	}})
	if got := awaitResults(t, b, 1); got[0].GetKind() != rtapv1.Result_KIND_DEAD {
		t.Errorf("result %v", got[0])
	}
}

// TestHangingDraftEndsWorker: nothing final waits for it, and still it ends.
func TestHangingDraftEndsWorker(t *testing.T) {
	for name, kind := range map[string]rtapv1.DraftJob_Kind{"interim": rtapv1.DraftJob_KIND_INTERIM, "speculative": rtapv1.DraftJob_KIND_SPECULATIVE} {
		t.Run(name, func(t *testing.T) {
			cfg := settings(t)
			b := testkit.Connect(t, cfg)
			stop := make(chan struct{})
			var offering sync.WaitGroup
			offering.Go(func() {
				for { // until a worker is there to take one that is fresh
					if err := b.PublishDraft(&rtapv1.DraftJob{StreamId: "s", Ordinal: 1, SegmentId: "s-1", Kind: kind, CapturedAt: clock.Now(), Pcm: make([]byte, 1000)}); err != nil {
						t.Error(err)
					}
					select {
					case <-stop:
						return
					case <-time.After(50 * time.Millisecond):
					}
				}
			})
			hang(t, cfg)
			close(stop)
			offering.Wait()
		})
	}
}

func TestSwapLosesNothing(t *testing.T) {
	cfg := settings(t)
	b, _, w := workWith(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "old"}, nil
	}})
	const n = 60
	for i := 1; i <= n; i++ {
		if err := b.PublishJob(t.Context(), job(i)); err != nil {
			t.Fatal(err)
		}
		if i == n/2 {
			old := w.Swap(&engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
				return transcriber.Transcript{Text: "new"}, nil
			}}, transcriber.Options{})
			if err := old.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	seen := map[string]int{}
	for _, r := range awaitResults(t, b, n) {
		seen[r.GetRecognition().GetText()]++
	}
	if seen["old"]+seen["new"] != n || seen["new"] < n/2 {
		t.Errorf("texts %v of %d", seen, n)
	}
}

func TestPromptIsWhatWasSaidInTheUtterance(t *testing.T) {
	cfg := settings(t)
	var prompts []string
	b, _ := work(t, cfg, &engine{
		prompted: true,
		opts:     func(o transcriber.Options) { prompts = append(prompts, o.Prompt) },
		transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
			return transcriber.Transcript{Text: "text"}, nil
		},
	})
	store := func(n uint64, text string) {
		r := &rtapv1.Result{StreamId: "s", Ordinal: n, Kind: rtapv1.Result_KIND_TEXT, Recognition: &rtapv1.Recognition{Text: text}}
		if err := b.StoreResult(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	store(1, "Another utterance.")
	store(3, "What was")
	store(4, "said before")
	for _, n := range []int{5, 8} { // 8 has nothing stored just before it
		j := job(n)
		j.UtteranceFirstOrdinal = 3
		if err := b.PublishJob(t.Context(), j); err != nil {
			t.Fatal(err)
		}
	}
	awaitResults(t, b, 5)
	if len(prompts) != 2 || prompts[0] != "What was said before" || prompts[1] != "" {
		t.Errorf("prompts %q", prompts)
	}
}
