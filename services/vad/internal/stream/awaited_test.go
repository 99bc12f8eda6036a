package stream

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestOverdue: while the stream goes on, a draft is counted when nobody can say anything of it any more.
func TestOverdue(t *testing.T) {
	m := obs.NewMetrics("vad", "test")
	s := &Stream{metrics: m}
	span := func(n uint64) *rtapv1.Span { return &rtapv1.Span{Epoch: 1, EndSample: n} }
	s.await(rtapv1.DraftJob_KIND_INTERIM, span(1), "")
	s.await(rtapv1.DraftJob_KIND_SPECULATIVE, span(2), obs.SpeculationLate)
	s.await(rtapv1.DraftJob_KIND_INTERIM, span(3), "")
	s.told(&rtapv1.DraftResult{Kind: rtapv1.DraftJob_KIND_SPECULATIVE, State: rtapv1.DraftResult_STATE_DONE, Span: span(2), SttMs: 250})
	s.told(&rtapv1.DraftResult{Kind: rtapv1.DraftJob_KIND_INTERIM, State: rtapv1.DraftResult_STATE_DONE, Span: span(3)})
	expect := func(at time.Duration, interims, finals float64) {
		t.Helper()
		s.overdue(time.Now().Add(at))
		for series, n := range map[string]float64{
			`rtap_shed_total{reason="draft_unanswered"}`: interims, `rtap_speculation_total{outcome="late"}`: finals,
			`rtap_speculation_wasted_seconds_total`: finals / 4,
		} {
			if got := testkit.Metric(t, m.Registry, series); got != n {
				t.Errorf("after %v %s is %g, want %g", at, series, got, n)
			}
		}
	}
	expect(0, 0, 0)
	expect(interimWithin/2, 0, 0)
	expect((interimWithin+finalWithin)/2, 1, 0)
	expect(finalWithin+time.Minute, 1, 1)
	expect(finalWithin+time.Hour, 1, 1)
}
