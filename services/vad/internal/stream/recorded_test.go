package stream_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestAudioThatOnlyTheNextEpochHas: the server has lost a recorded segment's audio and its
// job, and another process captures now, which says once more what it has.
func TestAudioThatOnlyTheNextEpochHas(t *testing.T) {
	for name, tt := range map[string]struct {
		skew  time.Duration // by which the other's frames end later
		again bool
		order []int // in which they are stored
		want  []rtapv1.Result_Kind
	}{
		"of the same moments":          {0, true, nil, nil},
		"one was lost and sent again":  {0, true, []int{0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 3, 4, 5, 6, 7, 8, 9, 10, 11}, nil},
		"all from the middle on again": {0, true, []int{2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, nil},
		"its frames begin elsewhere":   {9 * time.Millisecond, true, nil, nil},
		"it has nothing of that":       {0, false, nil, []rtapv1.Result_Kind{rtapv1.Result_KIND_DEAD}},
		"it has only what came later":  {600 * time.Millisecond, true, nil, []rtapv1.Result_Kind{rtapv1.Result_KIND_DEAD}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			cfg.Audio.RingBufferSizeMS = 200
			b := testkit.Bus(t, cfg)
			all := spoken(1, 0, "..####......", "here", false)
			store(t, b, all)
			feed(t, open(t, cfg, b), all)
			was := jobs(t, b)
			if len(was) != 1 {
				t.Fatalf("%d jobs", len(was))
			}
			// Emptied, it would know the job's id.
			if err := errors.Join(b.JS().DeleteStream(t.Context(), bus.StreamJobs), b.Setup(t.Context())); err != nil {
				t.Fatal(err)
			}
			purge(t, b, bus.StreamAudio)
			other := spoken(2, 0, "..####......", "here", tt.again)
			for _, f := range other {
				f.Clock = clock.Add(f.GetClock(), tt.skew)
			}
			if tt.order != nil {
				all := other
				other = nil
				for _, i := range tt.order {
					other = append(other, all[i])
				}
			}
			store(t, b, other)
			open(t, cfg, b)
			if got := markers(t, b); !slices.Equal(got, tt.want) {
				t.Fatalf("results %v, want %v", got, tt.want)
			}
			if tt.want != nil {
				return
			}
			is := jobs(t, b)
			if len(is) != 1 || is[0].GetSegmentId() != was[0].GetSegmentId() || len(is[0].GetPcm()) != len(was[0].GetPcm()) {
				t.Fatalf("%d jobs, want the same once more", len(is))
			}
			if same := bytes.Equal(is[0].GetPcm(), was[0].GetPcm()); same != (tt.skew == 0) {
				t.Errorf("the same samples: %v", same)
			}
			if loud := bytes.Count(is[0].GetPcm(), []byte{0x40}); loud != 4 {
				t.Errorf("%d of its 4 loud frames", loud)
			}
		})
	}
}
