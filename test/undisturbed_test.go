package test

import (
	"fmt"
	"math"
	"testing"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/test/chaos/oracle"
)

// undisturbed gives the finals of a recording when nothing goes wrong.
func undisturbed(t *testing.T, recording string, settings ...string) []*rtapv1.Results {
	t.Helper()
	args := []string{"--until-done", "--source", "file:" + recording + "?stream=talk&pace=fast"}
	for _, kv := range settings {
		args = append(args, "--set", kv)
	}
	return up(t, args...).finals(t)["talk"]
}

// whole judges the finals of a disturbed run, whose end has come, by those of an undisturbed
// one: all that had been heard then is in a final and in one only, the numbers are in order, no audio is said
// to be missing, and no three words in a row are. Single words may differ: after a fault a
// segment is heard without what was said before it, and may be cut elsewhere.
func whole(t *testing.T, want, got []*rtapv1.Results) {
	t.Helper()
	rec := &material.Recording{}
	for _, r := range want {
		start := int(math.Round(r.GetStart() * 16000))
		speech := material.Interval{Start: start, End: start + int(math.Round(r.GetDuration()*16000))}
		rec.Parts = append(rec.Parts, material.Part{Text: text([]*rtapv1.Results{r}), Speech: []material.Interval{speech}})
	}
	entries := func(finals []*rtapv1.Results) (out []wire.Entry) {
		last := uint32(0)
		for _, r := range finals {
			out, last = append(out, wire.Entry{Results: r}), r.GetRtap().GetOrdinal()
		}
		return append(out, wire.Entry{StreamEnd: &rtapv1.StreamEnd{Rtap: &rtapv1.MarkerRtap{Ordinal: last + 1}}})
	}
	v := oracle.Judge(rec, oracle.NewReference(rec, entries(want)), entries(got), nil, oracle.Faults{Unseen: true})
	if len(want) == 0 || v.Bad() || v.Expected != len(want) {
		t.Errorf("of %d segments %d are expected: %v\nwithout faults: %s\nhere:           %s", len(want), v.Expected, v.Notes, text(want), text(got))
	}
}

// described is what each final is: its ordinal, its stretch of audio and its text.
func described(finals []*rtapv1.Results) (out []string) {
	for _, r := range finals {
		out = append(out, fmt.Sprintf("%d %.3f %.3f %s", r.GetRtap().GetOrdinal(), r.GetStart(), r.GetDuration(), text([]*rtapv1.Results{r})))
	}
	return out
}
