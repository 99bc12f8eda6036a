package rig

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestResultsOf: a second result counts unless the first had been released by then.
func TestResultsOf(t *testing.T) {
	at := time.Now()
	log := []Logged{{wire.Entry{Results: &rtapv1.Results{Rtap: &rtapv1.ResultsRtap{Seq: 1, Ordinal: 2}}}, at}}
	result := func(n uint64, after time.Duration) stored { return stored{&rtapv1.Result{Ordinal: n}, at.Add(after)} }
	for name, tt := range map[string]struct {
		stored []stored
		want   int
	}{
		"each once":              {[]stored{result(1, -2), result(2, -1)}, 2},
		"a second one meanwhile": {[]stored{result(2, -2), result(2, -1)}, 2},
		"a second one, released": {[]stored{result(1, -2), result(1, 1)}, 1},
		"not released":           {[]stored{result(3, -2), result(3, 1)}, 2},
	} {
		r := &Results{all: map[string][]stored{"s": tt.stored}}
		if got := r.Of("s", log); len(got) != tt.want {
			t.Errorf("%s: %d results, want %d", name, len(got), tt.want)
		}
	}
}

// TestAllResults: a hole before the last is one that was not seen.
func TestAllResults(t *testing.T) {
	for name, tt := range map[string]struct {
		seen []uint64
		want bool
	}{
		"nothing":     {nil, false},
		"in a row":    {[]uint64{7, 8, 9}, true},
		"with a hole": {[]uint64{7, 9}, false},
		"ends early":  {[]uint64{7, 8}, false},
		"begins late": {[]uint64{8, 9}, false},
	} {
		r := &Results{from: 7, sequence: map[uint64]bool{}}
		for _, n := range tt.seen {
			r.sequence[n] = true
		}
		if got := r.until(9); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
