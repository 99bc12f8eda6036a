package feed_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is a runtime on a bus of its own that runs until the test ends.
func gateway(t *testing.T, cfg *config.Config) *service.Runtime {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("egress", "test")
	start(t, b.Run)
	t.Cleanup(b.Conn().Close)
	return &service.Runtime{Config: cfg, Log: log, Service: "egress", Metrics: m, Health: obs.NewHealth("egress", "i", "test", m), Bus: b}
}

// start runs f until the returned function is called or the test ends.
func start(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = f(ctx) })
	stop = func() { cancel(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

func result(n uint64, kind rtapv1.Result_Kind) *rtapv1.Result {
	return &rtapv1.Result{
		StreamId: "s", Ordinal: n, Kind: kind, SegmentId: fmt.Sprint("s-1-", n), UtteranceId: "s-1-1", UtteranceFirstOrdinal: 1,
		Span: &rtapv1.Span{Epoch: 1, StartSample: n * 1000, EndSample: n*1000 + 900}, ClosedAt: clock.Now(), SpeechEndedAt: clock.Now(),
		Recognition: &rtapv1.Recognition{Text: fmt.Sprint("word", n)},
	}
}

func store(t *testing.T, b *bus.Bus, results ...*rtapv1.Result) {
	t.Helper()
	for _, r := range results {
		if err := b.StoreResult(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// log reads the transcript log until its stream end.
func log(t *testing.T, b *bus.Bus) (out []wire.Entry) {
	t.Helper()
	c, err := b.JS().OrderedConsumer(t.Context(), bus.StreamTranscripts, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
		if err != nil {
			t.Fatalf("after %d entries: %v", len(out), err)
		}
		e, err := wire.ParseEntry(m.Data())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
		if e.StreamEnd != nil {
			return out
		}
	}
}

func TestReleasesInOrderAndJoinsTheUtterance(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := gateway(t, cfg)
	start(t, feed.NewSequencer(rt).Run)
	if err := rt.Bus.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	store(t, rt.Bus,
		result(5, rtapv1.Result_KIND_UTTERANCE_END), result(3, rtapv1.Result_KIND_DEAD), result(4, rtapv1.Result_KIND_TEXT),
		result(6, rtapv1.Result_KIND_STREAM_END), result(2, rtapv1.Result_KIND_EMPTY), result(1, rtapv1.Result_KIND_TEXT))
	got := log(t, rt.Bus)
	if len(got) != 4 || got[0].Results.GetRtap().GetSeq() != 1 || got[1].Results.GetRtap().GetSeq() != 2 ||
		got[1].Ordinal() != 4 || got[2].UtteranceEnd == nil || got[3].Seq() != 2 {
		t.Fatalf("log %+v", got)
	}
	if text := got[2].UtteranceEnd.GetRtap().GetTranscript(); text != "Word1 word4." {
		t.Errorf("utterance %q", text)
	}
	if got[0].Results.GetRtap().GetLogId() == "" || !got[0].Results.GetIsFinal() {
		t.Errorf("final %v", got[0].Results)
	}
}

func TestTwoSequencersNeitherDoubleNorSkip(t *testing.T) {
	const n = 200
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	first, second := gateway(t, cfg), gateway(t, cfg)
	for _, rt := range []*service.Runtime{first, second} {
		start(t, feed.NewSequencer(rt).Run)
		if err := rt.Bus.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	order := rand.New(rand.NewPCG(3, 4)).Perm(n)
	for _, i := range order {
		store(t, first.Bus, result(uint64(i+1), rtapv1.Result_KIND_TEXT))
	}
	store(t, first.Bus, result(n+1, rtapv1.Result_KIND_STREAM_END))
	got := log(t, first.Bus)
	if len(got) != n+1 {
		t.Fatalf("%d entries, want %d", len(got), n+1)
	}
	for i, e := range got[:n] {
		if e.Seq() != uint32(i+1) || e.Ordinal() != uint64(i+1) {
			t.Fatalf("entry %d has seq %d and ordinal %d", i, e.Seq(), e.Ordinal())
		}
	}
}

func TestSuccessorGoesOnAndKnowsTheOpenUtterance(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := gateway(t, cfg)
	if err := rt.Bus.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := start(t, feed.NewSequencer(rt).Run)
	store(t, rt.Bus, result(1, rtapv1.Result_KIND_TEXT), result(2, rtapv1.Result_KIND_TEXT))
	for {
		last, _, err := rt.Bus.LastFinal(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && last.Seq() == 2 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	stop()
	start(t, feed.NewSequencer(rt).Run)
	store(t, rt.Bus, result(3, rtapv1.Result_KIND_TEXT), result(4, rtapv1.Result_KIND_UTTERANCE_END), result(5, rtapv1.Result_KIND_STREAM_END))
	got := log(t, rt.Bus)
	if len(got) != 5 || got[3].UtteranceEnd.GetRtap().GetTranscript() != "Word1 word2 word3." {
		t.Errorf("log %+v", got)
	}
}

// TestGapIsToldWithTheNextText: audio that is missing before a segment in which nothing was
// understood, or that was given up, is told with the text that follows, once, whoever numbers it
// and whatever marker lies between; not after the stream's end.
func TestGapIsToldWithTheNextText(t *testing.T) {
	gap := func(n uint64, kind rtapv1.Result_Kind, ms uint32) *rtapv1.Result {
		r := result(n, kind)
		r.GapMs = ms
		return r
	}
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := gateway(t, cfg)
	if err := rt.Bus.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	numbered := func(entries int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			s, err := rt.Bus.JS().Stream(t.Context(), bus.StreamTranscripts)
			if err != nil {
				t.Fatal(err)
			}
			if s.CachedInfo().State.Msgs >= uint64(entries) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d entries of %d", s.CachedInfo().State.Msgs, entries)
			}
		}
	}
	text, empty := rtapv1.Result_KIND_TEXT, rtapv1.Result_KIND_EMPTY
	entries := 0
	for _, term := range []struct {
		results []*rtapv1.Result
		entries int
	}{
		{[]*rtapv1.Result{gap(1, text, 10), gap(2, empty, 20), gap(3, rtapv1.Result_KIND_DEAD, 30)}, 1},
		{[]*rtapv1.Result{gap(4, text, 40), gap(5, empty, 50), gap(6, rtapv1.Result_KIND_UTTERANCE_END, 0)}, 2},
		{[]*rtapv1.Result{gap(7, empty, 70), gap(8, text, 0)}, 1},
		{[]*rtapv1.Result{gap(9, text, 0), gap(10, empty, 100), gap(11, rtapv1.Result_KIND_UTTERANCE_END, 0)}, 2},
		{[]*rtapv1.Result{gap(12, rtapv1.Result_KIND_STREAM_END, 0)}, 1},
		{[]*rtapv1.Result{gap(13, text, 1), gap(14, rtapv1.Result_KIND_STREAM_END, 0)}, 2},
	} {
		stop := start(t, feed.NewSequencer(rt).Run)
		store(t, rt.Bus, term.results...)
		entries += term.entries
		numbered(entries)
		stop()
	}
	var got []uint32
	c, err := rt.Bus.JS().OrderedConsumer(t.Context(), bus.StreamTranscripts, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range entries {
		m, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := wire.ParseEntry(m.Data()); err != nil {
			t.Fatal(err)
		} else if e.Results != nil {
			got = append(got, e.Results.GetRtap().GetGapMs())
		}
	}
	if want := []uint32{10, 20 + 30 + 40, 50 + 70, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("gaps %v, want %v", got, want)
	}
}
