package stream_test

import (
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/testkit"
)

// TestUnhurried: the jobs of a source whose audio comes faster than it lasts say so.
func TestUnhurried(t *testing.T) {
	for name, pace := range map[string]time.Duration{"live": 32 * time.Millisecond, "a recording": 0} {
		t.Run(name, func(t *testing.T) {
			b := testkit.Bus(t, settings())
			s := open(t, settings(), b)
			all, start := frames(1, 0, strings.Repeat("..####........", 10)), clock.Now()
			for i, f := range all {
				f.Clock = clock.Add(start, time.Duration(i)*pace)
			}
			feed(t, s, all)
			got := jobs(t, b)
			if last := got[len(got)-1]; got[0].GetUnhurried() || last.GetUnhurried() != (pace == 0) {
				t.Errorf("of %d segments the first unhurried: %v, the last: %v", len(got), got[0].GetUnhurried(), last.GetUnhurried())
			}
		})
	}
}
