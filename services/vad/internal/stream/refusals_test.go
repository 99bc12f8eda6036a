package stream

import (
	"testing"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestRefusals: workers without time are asked for fewer drafts, at the old rate as soon as one is taken, and never for none.
func TestRefusals(t *testing.T) {
	var f refusals
	at := 0
	took := func(n int, state rtapv1.DraftResult_State, ms float64) {
		for range n {
			at += 1000
			f.note(&rtapv1.DraftResult{State: state, SttMs: ms}, at)
		}
	}
	want := func(when string, slower, pause int) {
		t.Helper()
		if f.slower() != slower || f.again(at+pause-1) && pause > 0 || !f.again(at+pause) {
			t.Errorf("%s: %d times slower, again after %d samples %v, one before %v", when, f.slower(), pause, f.again(at+pause), f.again(at+pause-1))
		}
	}
	want("at first", 1, 0)
	took(1, rtapv1.DraftResult_STATE_DROPPED, 80)
	want("one was begun and given up", 1, 0)
	took(1, rtapv1.DraftResult_STATE_DROPPED, 0)
	want("one was refused", 2, sampleRateHz)
	took(20, rtapv1.DraftResult_STATE_DROPPED, 0)
	want("many were refused", 2, sampleRateHz)
	took(1, rtapv1.DraftResult_STATE_STARTED, 0)
	want("one was taken", 1, 0)
}
