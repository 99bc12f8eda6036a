package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
)

// outbox holds what was recorded and is not published yet. Recording never waits: when the
// outbox is full the oldest frame is dropped, and the next one says so.
type outbox struct {
	metrics *obs.Metrics

	mu     sync.Mutex
	back   []*rtapv1.Frame // taken before, to be published first, under other numbers
	frames []*rtapv1.Frame
	size   int
	filled chan struct{}
	lost   int  // frames dropped since the last one was taken
	told   bool // lost is in the metric
	in     bool // a term: what is dropped now, nobody has
}

func newOutbox(size int, m *obs.Metrics) *outbox {
	return &outbox{size: size, metrics: m, filled: make(chan struct{}, 1)}
}

// put adds a frame. Numbers are given when it is published.
func (o *outbox) put(f *rtapv1.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames = append(o.frames, f)
	if len(o.frames) > o.size {
		dropped := o.frames[0]
		o.frames = o.frames[1:]
		o.lost++
		o.overrun()
		o.frames[0].GapMs += dropped.GetGapMs() + frameMS
		o.frames[0].GapReason = "outage"
	}
	if o.in {
		o.metrics.BufferUtilization.WithLabelValues("capture").Set(float64(len(o.frames)) / float64(o.size))
	}
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// overrun counts a loss, once, and not while another process may have what was dropped.
func (o *outbox) overrun() {
	if o.in && o.lost > 0 && !o.told {
		o.told = true
		o.metrics.Errors.WithLabelValues("capture", "ring_overrun").Inc()
	}
}

// putBack puts frames before those that wait: they were taken, and may not have been stored.
func (o *outbox) putBack(frames []*rtapv1.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.back = append(slices.Clone(frames), o.back...) // some may be left from the term before
}

// frameMS is the length of a frame.
const frameMS = framer.Samples * 1000 / framer.SampleRateHz

// next returns the oldest frame and how many were dropped before it; nil while there is none.
func (o *outbox) next() (f *rtapv1.Frame, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.back) > 0 {
		f, o.back = o.back[0], o.back[1:]
		return f, 0
	}
	if len(o.frames) == 0 {
		return nil, 0
	}
	f, dropped = o.frames[0], o.lost
	o.frames, o.lost, o.told = o.frames[1:], 0, false
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(float64(len(o.frames)) / float64(o.size))
	return f, dropped
}

// length is how many frames there are.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.back) + len(o.frames)
}

// wait returns when there may be a frame, ctx is done, or a time is over.
func (o *outbox) wait(ctx context.Context, most time.Duration) {
	select {
	case <-o.filled:
	case <-time.After(most):
	case <-ctx.Done():
	}
}

// begin begins a term. What was recorded before it may be stored by another process, or be
// on its way there, so each frame says so; before is when the newest stored frame was
// captured, nil if there is none. What was dropped after that moment is lost.
func (o *outbox) begin(before *rtapv1.Clock) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range slices.Concat(o.back, o.frames) {
		f.Again = true
	}
	if o.lost > 0 && before != nil && !clock.Later(before, clock.Add(o.frames[0].GetClock(), -frameMS*time.Millisecond)) {
		o.lost, o.told, o.frames[0].GapMs, o.frames[0].GapReason = 0, false, 0, ""
	}
	o.in = true
	o.overrun()
}

// resume begins a term that goes on with the epoch of the last one: nobody else has stored
// anything, and what was dropped is lost.
func (o *outbox) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in = true
	o.overrun()
}

// end ends a term.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in = false
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(0)
}
