package stream

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/clock"
)

// TestTempo: a recording is known by its frames' times, and nothing live is taken for one.
func TestTempo(t *testing.T) {
	const lasts = frame * time.Second / sampleRateHz
	for name, tt := range map[string]struct {
		at   func(n int) time.Duration // when frame n was captured
		want bool
		from int // frame from which on it must be known to be live
	}{
		"live":                               {func(n int) time.Duration { return time.Duration(n) * lasts }, false, 0},
		"half a second at once":              {func(n int) time.Duration { return time.Duration(n/16*16) * lasts }, false, 0},
		"its clock is 1/1000 fast":           {func(n int) time.Duration { return time.Duration(n) * lasts * 999 / 1000 }, false, 0},
		"after a minute that nobody sent":    {func(n int) time.Duration { return time.Duration(n)*lasts + time.Duration(n/1000)*time.Minute }, false, 0},
		"began with ten seconds at once":     {func(n int) time.Duration { return time.Duration(max(0, n-312)) * lasts }, false, 312 + 80*1000/32},
		"five seconds late, all at once":     {func(n int) time.Duration { return time.Duration(late(n)) * lasts }, false, 0},
		"in pieces of eight, as files come":  {func(n int) time.Duration { return time.Duration(n%8-7) * lasts }, true, 0},
		"at once":                            {func(int) time.Duration { return 0 }, true, 0},
		"twice as fast":                      {func(n int) time.Duration { return time.Duration(n) * lasts / 2 }, true, 0},
		"at once, with waits for the reader": {func(n int) time.Duration { return time.Duration(n/1875) * 2 * time.Second }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s tempo
			start := clock.Now()
			for n := range 40_000 { // 21 minutes
				s.hear(clock.Add(start, tt.at(n)), frame)
				if s.unhurried() && !tt.want && n >= tt.from {
					t.Fatalf("%.1f s ahead at frame %d", s.ahead, n)
				}
			}
			if s.unhurried() != tt.want {
				t.Errorf("%.1f s ahead, taken for a recording: %v", s.ahead, s.unhurried())
			}
		})
	}
}

// late is when a frame comes, in frames, after a network that stood still from the 39 000th on.
func late(n int) int {
	if n >= 39_000 && n < 39_156 {
		return 39_156
	}
	return n
}
