package app

import (
	"context"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
)

// outbox holds what was recorded and is not published yet. Recording never waits: when the
// outbox is full the oldest frame is dropped, and the next one says so.
type outbox struct {
	metrics *obs.Metrics

	mu     sync.Mutex
	frames []*rtapv1.Frame
	size   int
	filled chan struct{}
	lost   int // frames dropped since the last one was taken
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
		if o.lost == 0 {
			o.metrics.Errors.WithLabelValues("capture", "ring_overrun").Inc()
		}
		dropped := o.frames[0]
		o.frames = o.frames[1:]
		o.lost++
		o.frames[0].GapMs += dropped.GetGapMs() + frameMS
		o.frames[0].GapReason = "outage"
	}
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(float64(len(o.frames)) / float64(o.size))
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// frameMS is the length of a frame.
const frameMS = framer.Samples * 1000 / framer.SampleRateHz

// next returns the oldest frame and how many were dropped before it; nil while there is none.
func (o *outbox) next() (f *rtapv1.Frame, dropped int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.frames) == 0 {
		return nil, 0
	}
	f, dropped = o.frames[0], o.lost
	o.frames, o.lost = o.frames[1:], 0
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(float64(len(o.frames)) / float64(o.size))
	return f, dropped
}

// length is how many frames there are.
func (o *outbox) length() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.frames)
}

// wait returns when there may be a frame, ctx is done, or a time is over.
func (o *outbox) wait(ctx context.Context, most time.Duration) {
	select {
	case <-o.filled:
	case <-time.After(most):
	case <-ctx.Done():
	}
}

// skip drops the frames that were captured up to a moment of the same host's clock: they
// are stored.
func (o *outbox) skip(until *rtapv1.Clock) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.frames) > 0 && o.frames[0].GetClock().GetBootId() == until.GetBootId() && o.frames[0].GetClock().GetMonotonicNs() <= until.GetMonotonicNs() {
		o.frames = o.frames[1:]
	}
}
