package app

import (
	"testing"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func heard(at int64) *rtapv1.Frame {
	return &rtapv1.Frame{Clock: &rtapv1.Clock{BootId: "b", MonotonicNs: at}, Pcm: []byte{byte(at)}}
}

// TestOutboxSaysWhatItDropped: recording goes on while nothing can be published, and what
// is lost by that is told with the next frame, in time and in frames.
func TestOutboxSaysWhatItDropped(t *testing.T) {
	o := newOutbox(3, obs.NewMetrics("capture", "test"))
	for i := range int64(8) {
		o.put(heard(i))
	}
	f, dropped := o.next()
	if dropped != 5 || f.GetGapMs() != 5*32 || f.GetGapReason() != "outage" || f.GetPcm()[0] != 5 {
		t.Errorf("dropped %d, then %v", dropped, f)
	}
	o.put(heard(8))
	for want := range byte(3) {
		if f, dropped := o.next(); dropped != 0 || f.GetGapMs() != 0 || f.GetPcm()[0] != want+6 {
			t.Errorf("dropped %d, then %v", dropped, f)
		}
	}
	if f, _ := o.next(); f != nil {
		t.Errorf("one frame too many: %v", f)
	}
}

// TestOutboxSkipsWhatIsStored: a successor on the same host has recorded what its
// predecessor has published, but no other host's clock says so.
func TestOutboxSkipsWhatIsStored(t *testing.T) {
	for name, tt := range map[string]struct {
		until *rtapv1.Clock
		first byte
	}{
		"same host":    {&rtapv1.Clock{BootId: "b", MonotonicNs: 2}, 3},
		"another host": {&rtapv1.Clock{BootId: "c", MonotonicNs: 2}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutbox(9, obs.NewMetrics("capture", "test"))
			for i := range int64(5) {
				o.put(heard(i))
			}
			o.skip(tt.until)
			if f, dropped := o.next(); f.GetPcm()[0] != tt.first || dropped != 0 {
				t.Errorf("goes on with %v after %d dropped", f, dropped)
			}
		})
	}
}
