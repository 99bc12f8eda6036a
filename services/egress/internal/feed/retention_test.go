package feed_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

func TestPurgeKeepsTheLastEntry(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	rt := gateway(t, cfg)
	if err := rt.Bus.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	put := func(stream string, n int) {
		var last uint64
		for i := range n {
			at, err := rt.Bus.StoreFinal(t.Context(), wire.Entry{Results: &rtapv1.Results{
				Type: "Results", Rtap: &rtapv1.ResultsRtap{StreamId: stream, Seq: uint32(i + 1), Ordinal: uint32(i + 1)},
			}}, last)
			if err != nil {
				t.Fatal(err)
			}
			last = at
		}
	}
	count := func() uint64 {
		s, err := rt.Bus.JS().Stream(t.Context(), bus.StreamTranscripts)
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.Msgs
	}
	put("old", 5)
	time.Sleep(20 * time.Millisecond)
	moment := time.Now()
	time.Sleep(20 * time.Millisecond)
	put("new", 3)
	if err := feed.Purge(t.Context(), rt, moment); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 4 {
		t.Errorf("%d entries left, want the last of old and three of new", got)
	}
	last, _, err := rt.Bus.LastFinal(t.Context(), "old")
	if err != nil || last == nil || last.Seq() != 5 {
		t.Errorf("last of old: %+v %v", last, err)
	}
	if err := feed.Purge(t.Context(), rt, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if got := count(); got != 2 {
		t.Errorf("%d entries left, want one a stream", got)
	}
}
