package stream

import (
	"math"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// recordedAhead is how far ahead of the clock audio must be to have been recorded before: far above what a
	// live client sends at once.
	recordedAhead = 2 * time.Second
	// tempoHalfLife is the audio in which half of what a source is ahead is forgotten. So neither a fast start counts
	// for ever, nor a device whose clock is a little fast in the end.
	tempoHalfLife = time.Minute
	// mostAhead bounds how long a fast start counts: a client that connects anew and sends what it has kept is live
	// again after 80 seconds. A recording is as far ahead again at once.
	mostAhead = 5 * time.Second
	// mostBehind bounds how much a client may make up for after its network has stood still.
	mostBehind = 30 * time.Second
)

// tempo tells whether a source's audio comes faster than it lasts, by when its frames were captured.
type tempo struct {
	last  *rtapv1.Clock // the latest: what comes in pieces steps back within each
	ahead float64       // seconds; negative after a time in which nothing came, which may be made up for
}

// hear takes the time at which the last of so many samples was captured.
func (t *tempo) hear(c *rtapv1.Clock, samples int) {
	if t.last == nil {
		t.last = c
		return
	}
	spent, _ := clock.Between(t.last, c)
	if spent > 0 {
		t.last = c
	}
	lasted := float64(samples) / sampleRateHz
	ahead := t.ahead*math.Exp2(-lasted/tempoHalfLife.Seconds()) + lasted - spent.Seconds()
	t.ahead = min(max(ahead, -mostBehind.Seconds()), mostAhead.Seconds())
}

// unhurried says that nobody waits for the words of the source.
func (t *tempo) unhurried() bool { return t.ahead > recordedAhead.Seconds() }
