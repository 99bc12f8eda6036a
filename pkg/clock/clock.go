// Package clock stamps moments so that processes on one host can subtract them safely.
//
// Wall time steps; latencies must not. A stamp therefore carries the host's monotonic
// clock and its boot id beside a wall time that never runs backwards within a process.
package clock

import (
	"os"
	"strings"
	"sync"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/timestamppb"
)

var bootID = sync.OnceValue(func() string {
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		host, _ := os.Hostname()
		return "host:" + host
	}
	return strings.TrimSpace(string(raw))
})

// anchor ties the process's wall clock to its monotonic clock once.
var anchor = sync.OnceValue(func() (a struct {
	wall time.Time
	mono int64
}) {
	a.wall, a.mono = time.Now(), monotonic()
	return a
})

func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return ts.Nano()
}

// Now stamps this moment.
func Now() *rtapv1.Clock { return at(monotonic()) }

// Ago stamps the moment d before now; a negative d gives a later moment.
func Ago(d time.Duration) *rtapv1.Clock { return at(monotonic() - int64(d)) }

// At stamps t, which must carry a monotonic reading (as time.Now gives it).
func At(t time.Time) *rtapv1.Clock { return Ago(time.Since(t)) }

func at(mono int64) *rtapv1.Clock {
	a := anchor()
	return &rtapv1.Clock{
		CapturedAt:  timestamppb.New(a.wall.Add(time.Duration(mono - a.mono))),
		MonotonicNs: mono,
		BootId:      bootID(),
	}
}

// Add returns the stamp d after c.
func Add(c *rtapv1.Clock, d time.Duration) *rtapv1.Clock {
	if c == nil {
		return nil
	}
	return &rtapv1.Clock{
		CapturedAt:  timestamppb.New(c.GetCapturedAt().AsTime().Add(d)),
		MonotonicNs: c.GetMonotonicNs() + int64(d),
		BootId:      c.GetBootId(),
	}
}

// Between returns the time from a to b, never negative. When the stamps come from
// different hosts (or one is missing) the wall clocks decide and synchronised is false.
func Between(a, b *rtapv1.Clock) (d time.Duration, synchronised bool) {
	if a == nil || b == nil {
		return 0, false
	}
	if a.GetBootId() != "" && a.GetBootId() == b.GetBootId() {
		return max(0, time.Duration(b.GetMonotonicNs()-a.GetMonotonicNs())), true
	}
	return max(0, b.GetCapturedAt().AsTime().Sub(a.GetCapturedAt().AsTime())), false
}

// Later says whether b lies after a; which, for stamps from different hosts, their wall
// clocks decide.
func Later(a, b *rtapv1.Clock) bool {
	d, _ := Between(a, b)
	return d > 0
}

// Since returns the time from a until now; see [Between].
func Since(a *rtapv1.Clock) (time.Duration, bool) { return Between(a, Now()) }
