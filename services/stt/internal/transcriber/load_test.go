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
