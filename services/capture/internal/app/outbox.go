package app

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
)

// sayEvery is how often a loss that goes on is told.
const sayEvery = 10 * time.Second

// outbox holds what was recorded and is not published yet. Recording never waits: when the
// outbox is full the oldest frame is dropped, and the next one says so.
//
// What is dropped is lost, and told at once, unless another process has it: that is assumed
// from when another one is seen to hold the source's lease until a term of this one begins.
// In an outage nobody can be seen; then who had the lease last says what it loses.
type outbox struct {
	log     *slog.Logger
	metrics *obs.Metrics
	others  func() bool // the lease is another's, as far as is known

	mu      sync.Mutex
	back    []*rtapv1.Frame // taken before, to be published first, under other numbers
	frames  []*rtapv1.Frame
	size    int
	filled  chan struct{}
	lost    int           // frames dropped since the last one was taken
	since   *rtapv1.Clock // when the first of them was captured
	counted bool          // and are in the metric
	said    time.Time     // when a loss was last told
	yielded bool          // another process has what is dropped now
}

func newOutbox(size int, others func() bool, log *slog.Logger, m *obs.Metrics) *outbox {
	return &outbox{size: size, others: others, log: log, metrics: m, filled: make(chan struct{}, 1)}
}

// put adds a frame. Numbers are given when it is published.
func (o *outbox) put(f *rtapv1.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frames = append(o.frames, f)
	yielded := o.yields()
	if len(o.frames) > o.size {
		o.drop()
	}
	if !yielded {
		o.utilization()
	}
	select {
	case o.filled <- struct{}{}:
	default:
	}
}

// drop drops the oldest frame; called under the lock, as what follows.
func (o *outbox) drop() {
	dropped := o.frames[0]
	o.frames = o.frames[1:]
	if o.lost == 0 {
		o.since = dropped.GetClock()
	}
	o.lost++
	next := o.frames[0]
	next.GapMs = uint32(min(uint64(next.GetGapMs())+uint64(dropped.GetGapMs())+frameMS, math.MaxUint32))
	next.GapReason = "outage"
	if o.yielded {
		return
	}
	o.count()
	if time.Since(o.said) >= sayEvery {
		o.said = time.Now()
		o.log.Error("the ring buffer is full and nothing can be stored: audio is being lost", "lost_ms", next.GetGapMs(),
			"key", "audio.ring_buffer_size_ms")
	}
}

// yields looks whether another process has taken the source.
func (o *outbox) yields() bool {
	if !o.yielded && o.others() {
		o.yielded = true
		o.metrics.BufferUtilization.WithLabelValues("capture").Set(0)
	}
	return o.yielded
}

// count counts a loss once.
func (o *outbox) count() {
	if o.lost > 0 && !o.counted {
		o.counted = true
		o.metrics.Errors.WithLabelValues("capture", "ring_overrun").Inc()
	}
}

func (o *outbox) utilization() {
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(float64(len(o.frames)) / float64(o.size))
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
	o.frames, o.lost, o.counted = o.frames[1:], 0, false
	o.utilization()
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
	if o.lost > 0 && before != nil {
		o.missing(before)
	}
	o.yielded = false
	o.count()
}

// missing reduces what was dropped to what came after the newest frame that is stored, or
// will be.
func (o *outbox) missing(before *rtapv1.Clock) {
	if clock.Later(o.since, before) {
		o.counted = false // another process has gone on since: if anything is lost, it is something else
	}
	if n := len(o.back); n > 0 && clock.Later(before, o.back[n-1].GetClock()) {
		before = o.back[n-1].GetClock()
	}
	next := o.frames[0]
	behind, _ := clock.Between(before, clock.Add(next.GetClock(), -frameMS*time.Millisecond))
	frames := int((behind + frameMS*time.Millisecond - 1) / (frameMS * time.Millisecond))
	if o.lost = min(o.lost, frames); o.lost == 0 {
		o.counted, next.GapMs, next.GapReason = false, 0, ""
		return
	}
	next.GapMs = min(next.GetGapMs(), max(1, uint32(behind.Milliseconds())))
}

// resume begins a term that goes on with the epoch of the last one: nobody else has stored
// anything, and what was dropped is lost.
func (o *outbox) resume() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.yielded = false
	o.count()
}

// end ends a term.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.metrics.BufferUtilization.WithLabelValues("capture").Set(0)
}

// isYielded says whether another process has taken the source.
func (o *outbox) isYielded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.yields()
}
