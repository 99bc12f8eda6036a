package transcriber

import (
	"math"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Load
		if l.share() != 0 {
			t.Error("work before any")
		}
		for range 200 { // 30 of every 100 ms
			time.Sleep(100 * time.Millisecond)
			l.add(30 * time.Millisecond)
		}
		if got := l.share(); math.Abs(got-0.3) > 0.02 {
			t.Errorf("share %.3f, want 0.3", got)
		}
		time.Sleep(5 * time.Second)
		if got := l.share(); got > 0.02 {
			t.Errorf("share %.3f after five idle seconds", got)
		}
	})
}

// TestQueue: with a queue there is less room for context the longer finals wait, and none is taken from them without one.
func TestQueue(t *testing.T) {
	const patience, limit = 50 * time.Millisecond, 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		l := Load{engines: 2}
		seconds := func() float64 { return float64(l.window(limit, patience)) / SampleRateHz }
		finals := func(n int, waited time.Duration, behind uint64) {
			for range n {
				time.Sleep(100 * time.Millisecond)
				l.took(waited, patience, behind)
			}
		}
		finals(20, time.Minute, 0)
		if seconds() != 0 || l.crowded() {
			t.Errorf("%.1f s, crowded %v, though nobody waited behind another", seconds(), l.crowded())
		}
		finals(100, 100*time.Millisecond, 1)
		if got := seconds(); math.Abs(got-2.5) > 0.1 || !l.crowded() {
			t.Errorf("%.1f s of audio for finals that wait twice as long, want 2.5; crowded %v", got, l.crowded())
		}
		finals(100, time.Hour, 1)
		if got := seconds(); math.Abs(got-10./16) > 0.01 {
			t.Errorf("%.1f s of audio for finals that wait for ever, want a sixteenth", got)
		}
		for range 3 {
			l.tookUnhurried()
		}
		if seconds() == 0 || !l.crowded() {
			t.Errorf("%.1f s, crowded %v, though most finals are live", seconds(), l.crowded())
		}
		for range 30 {
			l.tookUnhurried()
		}
		if seconds() != 0 || l.crowded() {
			t.Errorf("%.1f s, crowded %v beside recordings, whose queue it is", seconds(), l.crowded())
		}
		finals(60, 40*time.Millisecond, 1)
		if seconds() != 0 || l.window(limit, 0) != 0 {
			t.Errorf("%.1f s of audio for finals that wait within their patience", seconds())
		}
		finals(4, 40*time.Millisecond, 0)
		if !l.crowded() {
			t.Error("a queue is forgotten at once")
		}
		time.Sleep(200 * time.Millisecond)
		if l.crowded() {
			t.Error("idle engines have no time for drafts")
		}
		for range 30 { // a share of 0.8 of each of two engines
			time.Sleep(100 * time.Millisecond)
			l.add(160 * time.Millisecond)
		}
		if !l.crowded() {
			t.Error("busy engines take drafts soon after a queue")
		}
		time.Sleep(crowdedSeen)
		l.add(10 * time.Second)
		if l.crowded() {
			t.Error("without a queue for long, busy engines take none: it may be one stream with a slow model")
		}
	})
}
