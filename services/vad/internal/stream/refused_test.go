package stream_test

import (
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestRefusedDrafts: while workers refuse them there are fewer drafts, and the segments' finals are asked for as ever.
func TestRefusedDrafts(t *testing.T) {
	cfg := settings()
	cfg.STT.InterimIntervalMS = 128
	b := testkit.Bus(t, cfg)
	s, _ := counting(t, cfg, b)
	next := drafts(t, b, bus.Draft("s"))
	all := frames(1, 0, strings.Repeat("#", 80))
	fed, at := 0, 0
	for _, want := range []int{4, 8, 8, 8} { // frames between two
		var job *rtapv1.DraftJob
		feed(t, s, all[fed:at+want+1])
		fed, at, job = at+want+1, at+want, next()
		if end := int(job.GetSpan().GetEndSample()) / 512; end != at && at > 4 {
			t.Errorf("a draft up to frame %d, want %d", end, at)
		} else {
			at = end
		}
		answer(t, b, job, &rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DROPPED})
	}
}

// TestDraftsOfAPredecessor: what is said of them before the stream's first frame is passed over.
func TestDraftsOfAPredecessor(t *testing.T) {
	b := testkit.Bus(t, settings())
	s, count := counting(t, settings(), b)
	for _, kind := range []rtapv1.DraftJob_Kind{rtapv1.DraftJob_KIND_INTERIM, rtapv1.DraftJob_KIND_SPECULATIVE} {
		answer(t, b, &rtapv1.DraftJob{Kind: kind, Ordinal: 1}, &rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DONE, SttMs: 30})
	}
	s.Close()
	if n := count("rtap_speculation_wasted_seconds_total"); n != 0 {
		t.Errorf("%g s of another process's drafts were counted", n)
	}
}

// TestRefusedSpeculation: so there are fewer speculative ones.
func TestRefusedSpeculation(t *testing.T) {
	cfg := settings()
	cfg.STT.InterimIntervalMS = 0
	b := testkit.Bus(t, cfg)
	s, count := counting(t, cfg, b)
	next := drafts(t, b, bus.Speculative("s"))
	const phrase = "..####........" // 14 frames, of which a second has 31
	all := frames(1, 0, strings.Repeat(phrase, 4))
	feed(t, s, all[:8])
	answer(t, b, next(), &rtapv1.DraftResult{State: rtapv1.DraftResult_STATE_DROPPED})
	feed(t, s, all[8:])
	if end := next().GetSpan().GetEndSample() / 512; end != 3*14+8 {
		t.Errorf("the next draft is up to frame %d, want that of the fourth phrase", end)
	}
	s.Close()
	if n := count(`rtap_speculation_total{outcome="held_back"}`); n != 2 || len(jobs(t, b)) != 4 {
		t.Errorf("%g of %d segments had no draft, want 2 of 4", n, len(jobs(t, b)))
	}
}
