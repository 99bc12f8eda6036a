package framer_test

import (
	"math"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/services/capture/internal/framer"
)

func TestFramesAreWholeNumberedAndTimed(t *testing.T) {
	f := framer.New("s", "mock", "", 3)
	now := clock.Now()
	pcm := make([]float32, 1300)
	pcm[0], pcm[1], pcm[2] = float32(math.NaN()), 7, float32(math.Inf(-1))
	f.Gap(40*time.Millisecond, "overrun")
	got := f.Push(pcm, now)
	if len(got) != 2 || got[0].GetFrame() != 0 || got[1].GetFrame() != 1 || got[0].GetEpoch() != 3 || len(got[0].GetPcm()) != 1024 {
		t.Fatalf("got %v", got)
	}
	if p := got[0].GetPcm(); p[0] != 0 || p[1] != 0 || p[2] != 0xff || p[3] != 0x7f || p[4] != 0 || p[5] != 0x80 {
		t.Errorf("NaN, +7, -Inf became % x", p[:6])
	}
	if got[0].GetGapMs() != 40 || got[1].GetGapMs() != 0 {
		t.Errorf("gaps %d %d", got[0].GetGapMs(), got[1].GetGapMs())
	}
	if d, _ := clock.Between(got[0].GetClock(), got[1].GetClock()); d != 32*time.Millisecond {
		t.Errorf("frames are %v apart", d)
	}
	end := f.End(now)
	if !end.GetEnd() || len(end.GetPcm()) != 2*(1300-1024) || end.GetFrame() != 2 {
		t.Errorf("end %v", end)
	}
}
