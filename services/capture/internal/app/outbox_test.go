package app

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"
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

// TestOutboxBegins: what was recorded while another process published says so, and what was
// dropped meanwhile is no loss unless it comes after the newest stored frame.
func TestOutboxBegins(t *testing.T) {
	ms := int64(time.Millisecond)
	clock := func(boot string, at int64) *rtapv1.Clock {
		return &rtapv1.Clock{BootId: boot, MonotonicNs: at * ms, CapturedAt: timestamppb.New(time.UnixMilli(at))}
	}
	for name, tt := range map[string]struct {
		before *rtapv1.Clock
		lost   int
	}{
		"nothing is stored":             {nil, 2},
		"all is stored":                 {clock("b", 2000), 0},
		"up to the oldest":              {clock("b", 64), 0},
		"not up to the oldest":          {clock("b", 63), 2},
		"of another host, to the first": {clock("c", 64), 0},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutbox(3, obs.NewMetrics("capture", "test"))
			for i := range int64(5) {
				o.put(&rtapv1.Frame{Clock: clock("b", (i+1)*32)})
			}
			o.begin(tt.before)
			f, dropped := o.next()
			if !f.GetAgain() || dropped != tt.lost || f.GetGapMs() != uint32(32*tt.lost) {
				t.Errorf("begins with %v after %d dropped", f, dropped)
			}
			o.put(&rtapv1.Frame{Clock: clock("b", 192)})
			for range 2 {
				_, _ = o.next()
			}
			if f, _ := o.next(); f.GetAgain() {
				t.Error("what is recorded in the term is said to be stored by another process")
			}
		})
	}
}

// TestOutboxTakesBack: what was taken in a term comes first in the next one, and what is
// still left of the term before behind it.
func TestOutboxTakesBack(t *testing.T) {
	o := newOutbox(9, obs.NewMetrics("capture", "test"))
	for i := range int64(3) {
		o.put(heard(10 + i))
	}
	o.putBack([]*rtapv1.Frame{heard(1), heard(2), heard(3), heard(4)})
	o.begin(nil)
	first, _ := o.next()
	second, _ := o.next()
	o.end()
	o.putBack([]*rtapv1.Frame{first, second})
	o.begin(nil)
	for _, want := range []byte{1, 2, 3, 4, 10, 11, 12} {
		if f, dropped := o.next(); f.GetPcm()[0] != want || dropped != 0 || !f.GetAgain() {
			t.Errorf("%v after %d dropped, want %d", f, dropped, want)
		}
	}
	if o.length() != 0 {
		t.Errorf("%d too many", o.length())
	}
}

// TestOutboxCountsALossOnce: however many terms it outlasts, and none while another process
// may have what was dropped.
func TestOutboxCountsALossOnce(t *testing.T) {
	m := obs.NewMetrics("capture", "test")
	o := newOutbox(2, m)
	counted := func() (n float64) {
		families, err := m.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "rtap_errors_total" {
				for _, one := range f.GetMetric() {
					n += one.GetCounter().GetValue() // nothing else here counts errors
				}
			}
		}
		return n
	}
	fill := func(n int64) {
		for i := range n {
			o.put(heard(i))
		}
	}
	fill(5)
	if n := counted(); n != 0 {
		t.Errorf("%v counted without a term", n)
	}
	for range 3 {
		o.begin(nil)
		fill(2)
		o.end()
		o.resume()
		o.end()
	}
	if n := counted(); n != 1 {
		t.Errorf("one loss is counted %v times", n)
	}
	o.resume()
	_, _ = o.next()
	fill(2)
	if n := counted(); n != 2 {
		t.Errorf("two losses are counted %v times", n)
	}
}
