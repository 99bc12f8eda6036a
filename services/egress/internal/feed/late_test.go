package feed_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// ready gives a gateway's runtime on a server of its own, and its configuration.
func ready(t *testing.T) (*service.Runtime, *config.Config) {
	t.Helper()
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := gateway(t, cfg)
	if err := rt.Bus.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	return rt, cfg
}

// untilSeq waits until the log's last entry has a number.
func untilSeq(t *testing.T, b *bus.Bus, seq uint32) *wire.Entry {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		last, _, err := b.LastFinal(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		if last != nil && last.Seq() >= seq {
			return last
		}
	}
	t.Fatalf("no final %d", seq)
	return nil
}

func storeLate(t *testing.T, b *bus.Bus, n uint64) {
	t.Helper()
	if err := b.StoreLateResult(t.Context(), result(n, rtapv1.Result_KIND_TEXT)); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, b *bus.Bus, subject string) {
	t.Helper()
	s, err := b.JS().Stream(t.Context(), bus.StreamResults)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if _, err := s.GetLastMsgForSubject(t.Context(), subject); err != nil {
			return
		}
	}
	t.Fatalf("%s is still there", subject)
}

// TestLateTextTakesTheNextNumberOnce: before its dead result is passed it waits; the same
// again, from a second retry or a removal that was forgotten, changes nothing; and whoever
// goes on behind it knows how far the log is.
func TestLateTextTakesTheNextNumberOnce(t *testing.T) {
	rt, _ := ready(t)
	stop := start(t, feed.NewSequencer(rt).Run)
	storeLate(t, rt.Bus, 2)
	store(t, rt.Bus, result(3, rtapv1.Result_KIND_TEXT), result(2, rtapv1.Result_KIND_DEAD), result(1, rtapv1.Result_KIND_TEXT))
	late := untilSeq(t, rt.Bus, 3)
	if !late.Late() || late.Ordinal() != 2 || late.Released() != 3 {
		t.Fatalf("the last final is %v", late.Results)
	}
	gone(t, rt.Bus, bus.ResultLate("s", 2))
	if n, err := rt.Bus.HighestOrdinal(t.Context(), "s"); err != nil || n != 3 {
		t.Errorf("highest ordinal %d, %v", n, err)
	}
	storeLate(t, rt.Bus, 2)
	gone(t, rt.Bus, bus.ResultLate("s", 2))
	stop()
	storeLate(t, rt.Bus, 2)
	start(t, feed.NewSequencer(rt).Run)
	gone(t, rt.Bus, bus.ResultLate("s", 2))
	store(t, rt.Bus, result(4, rtapv1.Result_KIND_UTTERANCE_END), result(5, rtapv1.Result_KIND_STREAM_END))
	var seqs []uint32
	var ordinals []uint64
	for _, e := range log(t, rt.Bus) {
		seqs, ordinals = append(seqs, e.Seq()), append(ordinals, e.Ordinal())
	}
	for i, want := range []struct {
		seq     uint32
		ordinal uint64
	}{{1, 1}, {2, 3}, {3, 2}, {3, 4}, {3, 5}} {
		if len(seqs) != 5 || seqs[i] != want.seq || ordinals[i] != want.ordinal {
			t.Fatalf("numbers %v of ordinals %v", seqs, ordinals)
		}
	}
}
