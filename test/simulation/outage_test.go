package simulation

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// TestOutageLongerThanTheRing: of two processes that record a source the one that publishes it
// counts what it loses while it loses it, the other one nothing of its own full ring; and the
// loss ends as one gap with its length, on a stored frame and in a final.
func TestOutageLongerThanTheRing(t *testing.T) {
	const outage = 6 * time.Second
	for name, tt := range map[string]struct {
		begin func(w *world, holder, standby *process)
		count int // losses that the holder has counted before the end
		gap   time.Duration
	}{
		"the server is away":       {func(w *world, _, _ *process) { w.running.Go(func() { w.server.Crash(0, outage) }) }, 1, outage - ring},
		"the holder is cut off":    {func(_ *world, holder, _ *process) { holder.client.Cut(outage) }, 1, 0}, // it cannot know
		"the standby is cut off":   {func(_ *world, _, standby *process) { standby.client.Cut(outage) }, 0, 0},
		"nothing is, for a while":  {func(*world, *process, *process) {}, 0, 0},
		"the holder dies in it":    {func(w *world, h, _ *process) { w.running.Go(func() { w.server.Crash(0, outage) }); w.end(h) }, 1, outage - ring}, // killed, its ring goes on
		"and before it, a standby": {func(w *world, _, s *process) { w.end(s); w.running.Go(func() { w.server.Crash(0, outage) }) }, 1, outage - ring},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, stop := recorded(t)
				defer stop()
				time.Sleep(4 * time.Second)
				holder, standby := w.captures()
				if w.writer() != holder.name() {
					holder, standby = standby, holder
				}
				tt.begin(w, holder, standby)
				time.Sleep(outage - time.Second)
				if n := w.overruns(holder); n != tt.count {
					t.Errorf("in the outage %d losses are counted, want %d", n, tt.count)
				}
				if n := w.overruns(standby); n != 0 {
					t.Errorf("a standby has counted %d losses", n)
				}
				w.finish()
				if broken := w.oracle.fault(); broken != "" {
					t.Fatal(broken)
				}
				lost := 0
				if w.oneGap(t, tt.gap) == standby.name() {
					lost = 1 // it had the source next, and no more in its own ring
				}
				if n := w.overruns(holder); n != tt.count {
					t.Errorf("at the end %d losses are counted, want %d", n, tt.count)
				}
				if n := w.overruns(standby); n != lost {
					t.Errorf("the standby has counted %d losses, want %d", n, lost)
				}
			})
		})
	}
}

const ring = 2 * time.Second

// recorded is a world with one source, two processes that record it, and fair weather.
func recorded(t *testing.T) (w *world, stop func()) {
	w = newWorld(1, Options{Frames: 600})
	ctx, cancel := context.WithCancel(t.Context())
	w.ctx, w.streams = ctx, w.streams[:1]
	w.cfg.Audio.RingBufferSizeMS = int(ring.Milliseconds())
	for _, name := range []string{"capturea-0.0", "capturea-1.0"} {
		w.metrics[name] = obs.NewMetrics("capture", "simulation")
	}
	w.setUp()
	w.server.SetWeather(fair)
	return w, func() { w.server.Close(); cancel(); w.running.Wait() }
}

// captures are the processes that record.
func (w *world) captures() (one, other *process) {
	for _, p := range w.processes {
		if p.service == "capture" {
			one, other = other, p
		}
	}
	return one, other
}

// end kills a process that gets no successor.
func (w *world) end(p *process) {
	w.mu.Lock()
	w.killed[p.name()] = true
	w.mu.Unlock()
	p.client.Kill()
}

// frames returns what is stored of the source.
func (w *world) frames() (frames []*rtapv1.Frame) {
	w.server.Look(func() {
		for _, data := range w.server.Stored(bus.StreamAudio, bus.Audio("a")) {
			f := &rtapv1.Frame{}
			if err := proto.Unmarshal(data, f); err != nil {
				panic(err)
			}
			frames = append(frames, f)
		}
	})
	return frames
}

// writer is who has stored the newest frame.
func (w *world) writer() (name string) {
	all := w.frames()
	last := all[len(all)-1]
	w.server.Look(func() { name = w.oracle.of("a").frames[place{last.GetEpoch(), last.GetFrame()}].writer })
	return name
}

// overruns is how many losses a process has counted.
func (w *world) overruns(p *process) (n int) {
	families, err := w.metrics[p.name()].Registry.Gather()
	if err != nil {
		panic(err)
	}
	for _, family := range families {
		if family.GetName() != "rtap_errors_total" {
			continue
		}
		for _, one := range family.GetMetric() {
			for _, label := range one.GetLabel() {
				if label.GetValue() == "ring_overrun" {
					n += int(one.GetCounter().GetValue())
				}
			}
		}
	}
	return n
}

// oneGap checks that a gap of about a length is marked, once, and in one final; none if it is
// 0. It returns who marked it.
func (w *world) oneGap(t *testing.T, length time.Duration) (by string) {
	t.Helper()
	marked := map[place]uint32{}
	for _, f := range w.frames() {
		if f.GetGapMs() > 0 && f.GetFrame() > 0 { // what is marked on the first is from before
			marked[place{f.GetEpoch(), f.GetFrame()}] = f.GetGapMs()
		}
	}
	var told []uint32
	for _, e := range w.oracle.of("a").log {
		if ms := e.Results.GetRtap().GetGapMs(); ms > 0 {
			told = append(told, ms)
		}
	}
	if length == 0 {
		if len(marked) > 0 || len(told) > 0 {
			t.Errorf("gaps: %v, in finals %v", marked, told)
		}
		return ""
	}
	if len(marked) != 1 || len(told) != 1 {
		t.Fatalf("gaps: %v, in finals %v, want one of about %v", marked, told, length)
	}
	for at, ms := range marked {
		w.server.Look(func() { by = w.oracle.of("a").frames[at].writer })
		if got := time.Duration(ms) * time.Millisecond; got < length-500*time.Millisecond || got > length+time.Second || told[0] != ms {
			t.Errorf("a gap of %v, in a final of %d ms, want about %v", got, told[0], length)
		}
	}
	return by
}
