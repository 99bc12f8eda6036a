package clock_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/clock"
)

func TestBetween(t *testing.T) {
	a := clock.Now()
	b := clock.Add(a, 40*time.Millisecond)
	if d, ok := clock.Between(a, b); d != 40*time.Millisecond || !ok {
		t.Errorf("same host: got %v %v", d, ok)
	}
	if d, _ := clock.Between(b, a); d != 0 {
		t.Errorf("reversed: got %v, want 0", d)
	}
	b.BootId = "another"
	if d, ok := clock.Between(a, b); d != 40*time.Millisecond || ok {
		t.Errorf("other host: got %v %v", d, ok)
	}
	if _, ok := clock.Between(nil, b); ok {
		t.Error("a missing stamp counts as synchronised")
	}
}
