package main

import (
	"strings"
	"testing"
)

// TestAmbush: one capture alone gets a stop, so that the other is awake to take over; a kill is
// for both, and what is left last stays for whoever comes.
func TestAmbush(t *testing.T) {
	faults := []fault{{pass: 1, length: 2}, {pass: 2, length: 3}}
	for name, tt := range map[string]struct {
		p    *point
		kind string
		want []bool // a failpoint for each process that starts
	}{
		"kill of captures": {&elsewhere[2], kindPoint, []bool{true, true, true}},
		"stop of captures": {named("capture/positioned"), kindStopAt, []bool{true, false, false}},
		"stop of gateways": {&elsewhere[0], kindStopAt, []bool{true, true, true}}, // one alone is asked to start
	} {
		a := &ambush{r: round{kind: tt.kind, point: tt.p, faults: faults}, out: &outcome{}, left: faults, open: true}
		for n, want := range tt.want {
			if got := a.plan(); strings.HasPrefix(got, tt.p.name+":") != want {
				t.Errorf("%s, process %d: %q", name, n+1, got)
			}
		}
	}
}
