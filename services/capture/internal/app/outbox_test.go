package app

import (
	"bytes"
	"log/slog"
	"strings"
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

func alone() bool { return false }

func box(size int, others func() bool) *outbox {
	return newOutbox(size, others, slog.New(slog.DiscardHandler), obs.NewMetrics("capture", "test"))
}

// TestOutboxSaysWhatItDropped: recording goes on while nothing can be published, and what
// is lost by that is told with the next frame, in time and in frames.
func TestOutboxSaysWhatItDropped(t *testing.T) {
	o := box(3, alone)
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
		before       *rtapv1.Clock
		lost, gapMS  int
		dropped      int64
		alsoRecorded bool // up to 128 by this process, in a term before
	}{
		"nothing is stored":             {nil, 2, 64, 2, false},
		"all is stored":                 {clock("b", 2000), 0, 0, 2, false},
		"up to the oldest":              {clock("b", 64), 0, 0, 2, false},
		"not up to the oldest":          {clock("b", 63), 1, 1, 2, false},
		"long ago":                      {clock("b", 0), 2, 64, 2, false},
		"of another host, to the first": {clock("c", 64), 0, 0, 2, false},
		"after hours of waiting":        {clock("b", 320_000), 2, 64, 10_002, false},
		"and it has more itself":        {clock("b", 64), 1, 32, 5, true},
	} {
		t.Run(name, func(t *testing.T) {
			o := box(3, alone)
			at := int64(0)
			for range 3 + tt.dropped {
				at += 32
				o.put(&rtapv1.Frame{Clock: clock("b", at)})
			}
			if tt.alsoRecorded {
				o.putBack([]*rtapv1.Frame{{Clock: clock("b", 96)}, {Clock: clock("b", 128)}})
			}
			o.begin(tt.before)
			if tt.alsoRecorded {
				for range 2 {
					if f, dropped := o.next(); dropped != 0 || f.GetGapMs() != 0 || !f.GetAgain() {
						t.Errorf("%v after %d dropped", f, dropped)
					}
				}
			}
			f, dropped := o.next()
			if !f.GetAgain() || dropped != tt.lost || f.GetGapMs() != uint32(tt.gapMS) {
				t.Errorf("begins with %v after %d dropped", f, dropped)
			}
			o.put(&rtapv1.Frame{Clock: clock("b", at+32)})
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
	o := box(9, alone)
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

// TestOutboxCountsALoss once, when it begins and however many terms it outlasts, and none
// while another process may have what is dropped.
func TestOutboxCountsALoss(t *testing.T) {
	m, others := obs.NewMetrics("capture", "test"), false
	var log bytes.Buffer
	o := newOutbox(2, func() bool { return others }, slog.New(slog.NewTextHandler(&log, nil)), m)
	at := int64(0)
	fill := func(n int) {
		for range n {
			at += int64(frameMS * time.Millisecond)
			o.put(&rtapv1.Frame{Clock: &rtapv1.Clock{BootId: "b", MonotonicNs: at}})
		}
	}
	counted := func(when string, want float64) {
		t.Helper()
		families, err := m.Registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		n := 0.0
		for _, f := range families {
			if f.GetName() == "rtap_errors_total" {
				for _, one := range f.GetMetric() {
					n += one.GetCounter().GetValue() // nothing else here counts errors
				}
			}
		}
		if n != want {
			t.Errorf("%s: %v losses are counted, want %v", when, n, want)
		}
	}
	stored := func(ago int64) *rtapv1.Clock {
		return &rtapv1.Clock{BootId: "b", MonotonicNs: at - ago*int64(frameMS*time.Millisecond)}
	}
	fill(2)
	counted("nothing is dropped", 0)
	fill(3)
	counted("nobody has ever had the lease", 1)
	if n := strings.Count(log.String(), "audio is being lost"); n != 1 {
		t.Errorf("told %d times of three frames:\n%s", n, log.String())
	}
	o.begin(nil)
	fill(2)
	o.end()
	fill(2)
	o.resume()
	o.end()
	counted("it outlasts terms", 1)
	o.resume()
	_, _ = o.next()
	o.end()
	fill(2)
	counted("the next outage", 2)

	others = true
	_, _ = o.next()
	fill(20)
	counted("another process has the lease", 2)
	others = false // and here it is free, or the bus is away
	fill(20)
	counted("nothing was heard of it since", 2)
	if !o.isYielded() {
		t.Error("a stop would wait for the lease of another process")
	}
	o.begin(stored(2))
	counted("it has stored all", 2)
	fill(1)
	counted("in the term", 3)
	o.end()
	fill(1)
	others = true
	fill(20)
	others = false
	o.begin(stored(10))
	counted("it has not stored what was dropped last", 4)
}
