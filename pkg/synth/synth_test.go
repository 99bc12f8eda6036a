package synth_test

import (
	"slices"
	"testing"

	"github.com/rtap/rtap/pkg/synth"
)

func TestSounds(t *testing.T) {
	for _, kind := range synth.Kinds() {
		a, b := synth.Sound(kind, 32000, 0.5, 7), synth.Sound(kind, 32000, 0.5, 7)
		if len(a) != 32000 || !slices.Equal(a, b) {
			t.Errorf("%s: %d samples, or not the same twice", kind, len(a))
		}
		peak := slices.Max(a)
		if low := -slices.Min(a); low > peak {
			peak = low
		}
		if want := float32(0.5); kind != "silence" && (peak < 0.49 || peak > want) {
			t.Errorf("%s: peak %v, want %v", kind, peak, want)
		}
	}
	if synth.Sound("nothing of the kind", 10, 1, 1) != nil {
		t.Error("an unknown kind gave sound")
	}
}
