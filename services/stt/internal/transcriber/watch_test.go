package transcriber_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/stt/internal/transcriber"
)

// hangingWorker is the variable that makes this test program a worker whose engine hangs,
// on the server that it names.
const hangingWorker = "RTAP_TEST_HANGING_WORKER"

func hangForever(url string) {
	cfg := config.Default()
	cfg.NATS.URL, cfg.STT.JobTimeout = url, 1
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
	b, stop := work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "done"}, nil
	}})
	stop() // this worker comes back when the other has died
	if err := b.PublishJob(t.Context(), job(1)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), hangingWorker+"="+cfg.NATS.URL)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 70 || !strings.Contains(string(out), "an inference hangs") {
		t.Fatalf("the hanging worker ended with %v: %s", err, out)
	}
	b, _ = work(t, cfg, &engine{transcribe: func(context.Context, []float32) (transcriber.Transcript, error) {
		return transcriber.Transcript{Text: "done"}, nil
	}})
	// Given back, not waited for: the server's wait of 30 s is longer than the test's.
	if got := awaitResults(t, b, 1); got[0].GetRecognition().GetText() != "done" || got[0].GetWorker() == "hanging" {
		t.Errorf("result %v", got[0])
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
