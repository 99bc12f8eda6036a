package main

import (
	"strings"
	"testing"
	"time"
)

// TestBurden: a process that grows too much, and finals that are late before drafts are given up, make the
// round red.
func TestBurden(t *testing.T) {
	at := time.Now()
	after := func(seconds int, n float64) given { return given{at.Add(time.Duration(seconds) * time.Second), n} }
	for name, tt := range map[string]struct {
		most  int
		late  time.Time
		given []given
		over  int
		says  string
	}{
		"no overload":        {most: 200, says: "no overload"},
		"drafts first":       {most: 200, late: at.Add(9 * time.Second), given: []given{after(1, 0), after(5, shedFirst), after(10, 90)}, says: "90 drafts were given up, at least 8 of them"},
		"finals first":       {most: 200, late: at.Add(4 * time.Second), given: []given{after(1, 1), after(5, shedFirst), after(10, 90)}, over: 1, says: "at least 1 of them"},
		"none, and too much": {most: 100 + growth + 1, late: at.Add(4 * time.Second), over: 2, says: "grew from 100 to 251 MB"},
	} {
		out := &outcome{}
		b := &burden{before: map[string]int{"stt 1": 100}, most: map[string]int{"stt 1": tt.most, "a new one": 999}, late: tt.late, given: tt.given}
		b.judge(out)
		if out.Over != tt.over || !strings.Contains(strings.Join(out.Notes, "\n"), tt.says) {
			t.Errorf("%s: over %d, %q", name, out.Over, out.Notes)
		}
	}
}
