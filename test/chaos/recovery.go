package main

import (
	"context"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/test/chaos/rig"
)

// patience is how long a pipeline may take to get over a fault.
const patience = 45 * time.Second

// watch measures how long clients go without a text that they are owed.
type watch struct {
	mu      sync.Mutex
	streams map[string]*followed
}

type followed struct {
	rec     *material.Recording
	zero    time.Time   // when the recording's first sample was captured
	texts   []rig.Text  // since the last fault
	ended   func() bool // the stream
	gateway int
	last    time.Time
	gap     time.Duration // longest from the last text of one gateway to the first of the other, silence left out
}

func (w *watch) heard(t rig.Text) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.streams[t.Stream]
	f.zero = t.Captured.Add(-time.Duration(t.Position * float64(time.Second)))
	f.texts = append(f.texts, t)
	if f.gateway != t.Gateway && !f.last.IsZero() {
		if speaks, more := f.speaks(f.last); more {
			f.gap = max(f.gap, t.Got.Sub(speaks))
		}
	}
	f.gateway, f.last = t.Gateway, t.Got
}

// fault forgets what was heard before it.
func (w *watch) fault() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.streams {
		f.texts = nil
	}
}

// recovered waits until each stream has given a text of audio from after the fault, and
// says how much later than somebody began to speak that was. A stream in which nobody
// speaks any more counts as well.
func (w *watch) recovered(ctx context.Context, at time.Time) (took time.Duration, ok bool) {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		took, ok = w.look(at)
		if ok {
			return took, true
		}
		time.Sleep(20 * time.Millisecond)
	}
	return patience, false
}

func (w *watch) look(at time.Time) (took time.Duration, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.streams {
		speaks, more := f.speaks(at)
		if !more || f.ended() {
			continue
		}
		found := false
		for _, t := range f.texts {
			if t.Captured.After(at) {
				took, found = max(took, t.Got.Sub(speaks)), true
				break
			}
		}
		if !found {
			return 0, false
		}
	}
	return max(0, took), true
}

// speaks is the first moment from at on that somebody speaks.
func (f *followed) speaks(at time.Time) (time.Time, bool) {
	const least = 8000 // samples of speech that must be left, to be owed a text
	if f.zero.IsZero() {
		return at, len(f.rec.Parts) > 0 // nothing was heard yet
	}
	now := int(at.Sub(f.zero).Seconds() * 16000)
	for _, p := range f.rec.Parts {
		for _, s := range p.Speech {
			if s.End-max(now, s.Start) >= least {
				return f.zero.Add(time.Duration(max(now, s.Start)) * time.Second / 16000), true
			}
		}
	}
	return at, false
}

// failover is the longest that a client went from one gateway's last text to the next one's first.
func (w *watch) failover() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.streams {
		longest = max(longest, f.gap)
	}
	return longest
}

// length of the longest recording.
func (w *watch) length() (longest time.Duration) {
	for _, f := range w.streams {
		longest = max(longest, time.Duration(f.rec.Samples)*time.Second/16000)
	}
	return longest
}
