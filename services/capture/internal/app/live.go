package app

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/publish"
	"github.com/rtap/rtap/services/capture/internal/soxr"
)

// live is an input that does not wait: it is recorded all the time, and published while
// this process holds the lease.
type live struct {
	rt     *service.Runtime
	in     input
	keeper *lease.Keeper
	out    *outbox

	ended chan struct{} // closed when recording has ended, because of cause
	cause error
	last  *rtapv1.Frame // what is left then

	// Of the epoch that was published last.
	epoch, next uint64
	pub         *publish.Publisher
	before      *rtapv1.Frame // the newest one that was stored when it began
	done        bool          // its end is stored
}

func newLive(rt *service.Runtime, in input, keeper *lease.Keeper) *live {
	out := newOutbox(ringFrames(rt), keeper.Others, rt.Log.With("stream_id", in.stream()), rt.Metrics)
	return &live{rt: rt, in: in, keeper: keeper, out: out, ended: make(chan struct{})}
}

// record fills the outbox until the input ends.
func (l *live) record(ctx context.Context) {
	defer close(l.ended)
	resample, err := soxr.New(l.in.rateHz(), framer.SampleRateHz)
	if err != nil {
		l.cause = err
		return
	}
	defer resample.Close()
	fr := framer.New(l.in.stream(), l.in.name(), l.rt.RunID, 0)
	push := func(pcm []float32, captured *rtapv1.Clock) error {
		if l.in.rateHz() != framer.SampleRateHz && (len(pcm) > 0 || captured == nil) {
			if pcm, err = resample.Push(pcm); err != nil {
				return err
			}
		}
		for _, f := range fr.Push(pcm, captured) {
			l.out.put(f)
		}
		return nil
	}
	var captured *rtapv1.Clock
	for {
		pcm, at, lost, err := l.in.read(ctx)
		if err != nil {
			_ = push(nil, nil)
			l.cause, l.last = err, fr.End(captured)
			return
		}
		if lost > 0 {
			fr.Gap(lost, "overrun")
		}
		captured = at
		if err := push(pcm, at); err != nil {
			l.cause = err
			return
		}
	}
}

// keep publishes in terms of the lease until the input ends or ctx is done. A process that
// is told to stop while it has lost the lease, in an outage of the bus, still sends what it
// has recorded if it gets the lease back in half of shutdown_timeout; unless another process
// has taken the source.
func (l *live) keep(ctx context.Context, shown func(held bool)) error {
	err := l.keeper.Keep(ctx, func(ctx context.Context, _ lease.Token) error {
		shown(true)
		defer shown(false)
		return l.term(ctx)
	})
	if ctx.Err() == nil || l.pub == nil || l.done || l.out.isYielded() {
		return err
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.rt.Config.ShutdownTimeout/2)
	defer cancel()
	_ = l.keeper.Do(last, func(ctx context.Context, _ lease.Token) error {
		if err := l.takeOver(ctx); err != nil {
			return err
		}
		return l.finish(ctx)
	})
	if !l.done && !l.out.isYielded() {
		l.rt.Log.Error("stopping without the bus: what was recorded last is lost", "stream_id", l.in.stream(), "frames", l.out.length())
		l.rt.Metrics.Errors.WithLabelValues("capture", "ring_overrun").Inc()
	}
	return err
}

// term publishes while ctx goes on.
func (l *live) term(ctx context.Context) error {
	defer l.out.end()
	if l.done { // the server may have lost it while the lease was lost
		if err := l.pub.Resend(ctx); err != nil {
			return err
		}
		_, err := taken(ctx, l.rt, l.in, l.epoch, l.pub, nil)
		return err
	}
	if err := retry(ctx, l.rt, l.in, "going on with a stream", func() error { return l.takeOver(ctx) }); err != nil {
		return err // the epoch may be another's; keep tries once more
	}
	for ctx.Err() == nil {
		f, dropped := l.out.next()
		if f == nil {
			if l.isEnded() {
				return l.finish(ctx)
			}
			l.out.wait(ctx, refreshEvery)
			if err := l.pub.Refresh(ctx); err != nil {
				return l.finish(ctx)
			}
			continue
		}
		if err := l.send(ctx, f, dropped); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return l.finish(ctx)
}

func (l *live) isEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// takeOver goes on with the epoch of the last term, if nobody has captured the stream
// since. Else it begins a new one with what is not stored yet.
func (l *live) takeOver(ctx context.Context) error {
	newest, err := l.rt.Bus.NewestEpoch(ctx, l.in.stream())
	if err != nil {
		return err
	}
	if l.pub != nil && newest.Number <= l.epoch { // lower: the server came back empty
		l.out.resume()
		return l.pub.Resend(ctx)
	}
	if l.before, err = l.rt.Bus.LastFrame(ctx, l.in.stream()); err != nil {
		return err
	}
	epoch, err := l.rt.Bus.NewEpoch(ctx, l.in.stream(), l.in.name(), l.rt.RunID)
	if err != nil {
		return err
	}
	l.epoch, l.next = epoch, 0
	if l.pub != nil {
		l.out.putBack(l.pub.Ring())
	}
	l.pub = publish.New(l.in.stream(), ringFrames(l.rt), l.rt.Bus, l.rt.Log, l.rt.Metrics)
	l.rt.Log.Info("source started", "stream_id", l.in.stream(), "source", l.in.name(), "epoch", l.epoch, "rate_hz", l.in.rateHz())
	announce(l.rt, l.in.stream(), "source started", rtapv1.ServiceEvent_SEVERITY_INFO)
	l.out.begin(l.before.GetClock())
	return nil
}

// unheard marks the first frame of an epoch with the time between it and the last frame
// that was stored of a source that has not ended.
func (l *live) unheard(f *rtapv1.Frame) {
	if before := l.before; before != nil && !before.GetEnd() {
		gap, _ := clock.Between(before.GetClock(), f.GetClock())
		if gap -= frameMS * time.Millisecond; gap.Milliseconds() > int64(f.GetGapMs()) {
			f.GapMs = uint32(gap.Milliseconds())
			f.GapReason = "nobody captured"
		}
	}
	l.before = nil
}

// send gives a frame its number and stores it. What was dropped before it has numbers too,
// so that positions in the stream stay those of the clock.
func (l *live) send(ctx context.Context, f *rtapv1.Frame, dropped int) error {
	if l.next == 0 {
		l.unheard(f)
	}
	l.next += uint64(dropped)
	f.Epoch, f.Frame = l.epoch, l.next
	l.next++
	if dropped > 0 {
		l.rt.Log.Error("the outage was longer than the ring buffer; audio is lost", "stream_id", l.in.stream(),
			"gap_ms", f.GetGapMs(), "key", "audio.ring_buffer_size_ms")
	}
	if err := l.pub.Send(ctx, f); err != nil {
		return err
	}
	if f.GetFrame() == 0 {
		announce(l.rt, l.in.stream(), "first frame stored", rtapv1.ServiceEvent_SEVERITY_INFO)
	}
	return nil
}

// finish ends a term: at the end of the input, or when the process is told to stop, with
// all that was recorded and an end frame; when the lease is lost with nothing.
func (l *live) finish(ctx context.Context) error {
	last, cancel, lost := ending(ctx, l.rt)
	defer cancel()
	if lost || l.pub == nil {
		return ctx.Err()
	}
	select {
	case <-l.ended:
	case <-last.Done():
		return last.Err()
	}
	if ctx.Err() != nil { // it may have come in the middle of sending
		if err := l.pub.Resend(last); err != nil {
			return err
		}
	}
	for f, dropped := l.out.next(); f != nil; f, dropped = l.out.next() {
		if err := l.send(last, f, dropped); err != nil {
			return err
		}
	}
	if l.last == nil {
		return l.cause
	}
	if err := l.send(last, l.last, 0); err != nil {
		return err
	}
	if err := l.pub.Flush(last); err != nil {
		return err
	}
	l.done = true
	return ended(ctx, l.rt, l.in, l.epoch, l.pub, l.cause)
}
