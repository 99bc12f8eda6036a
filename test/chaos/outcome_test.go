package main

import (
	"strings"
	"testing"

	"github.com/rtap/rtap/test/chaos/oracle"
	"github.com/rtap/rtap/test/chaos/rig"
)

// TestIdleRoundIsBad: a round whose faults did not happen has shown nothing, and says why.
func TestIdleRoundIsBad(t *testing.T) {
	kill := round{name: "kill", kind: kindKill, faults: []fault{{target: rig.NATS}, {target: "stt"}}}
	for name, tt := range map[string]struct {
		r    round
		set  func(*outcome)
		bad  bool
		note string
	}{
		"all happened":      {r: kill, set: func(o *outcome) { o.Faults = 2 }},
		"some happened":     {r: kill, set: func(o *outcome) { o.Faults = 1 }},
		"none happened":     {r: kill, bad: true, note: "ended before the first fault"},
		"none, and why":     {r: kill, set: func(o *outcome) { o.missed("nats did not run") }, bad: true, note: "nats did not run"},
		"none was planned":  {r: round{kind: kindNone}},
		"nobody came":       {r: round{kind: kindClients}, bad: true, note: "before the first fault"},
		"clients came":      {r: round{kind: kindClients}, set: func(o *outcome) { o.Faults = 9 }},
		"no burst":          {r: round{kind: kindOverload}, bad: true, note: "before the first fault"},
		"happened and lost": {r: kill, set: func(o *outcome) { o.Faults = 2; o.Add(oracle.Verdict{Lost: 1}) }, bad: true},
		"over a bound":      {r: kill, set: func(o *outcome) { o.Faults, o.Over = 2, 1 }, bad: true},
		"stuck":             {r: kill, set: func(o *outcome) { o.Faults, o.Stuck = 2, 1 }, bad: true},
	} {
		o := newOutcome(tt.r)
		if tt.set != nil {
			tt.set(o)
		}
		o.account()
		if o.Bad() != tt.bad || !strings.Contains(strings.Join(o.Notes, "\n"), tt.note) || tt.note == "" && len(o.Notes) > 0 {
			t.Errorf("%s: bad %v, notes %q", name, o.Bad(), o.Notes)
		}
	}
}

// TestReport: rounds that were not begun and rounds without a fault make the suite fail, and
// the last lines name them beside the kills that were planned.
func TestReport(t *testing.T) {
	good := &outcome{Name: "good", Planned: 11, Faults: 9, Kills: 9}
	idle := &outcome{Name: "idle", Planned: 4}
	for name, tt := range map[string]struct {
		report report
		bad    bool
		says   []string
	}{
		"good":      {report{Rounds: []*outcome{good}, PlannedKills: 11, Seed: 7}, false, []string{"kill -9: 11 planned, 9 happened; 0 ordinals were followed to their one result; SEED=7"}},
		"idle":      {report{Rounds: []*outcome{good, idle}, PlannedKills: 15}, true, []string{"15 planned, 9 happened", "no fault happened: idle"}},
		"not begun": {report{Rounds: []*outcome{good}, Left: []string{"disk", "overload"}}, true, []string{"not begun, for want of time: disk, overload"}},
	} {
		var out strings.Builder
		tt.report.sum(&out)
		if tt.report.Bad() != tt.bad {
			t.Errorf("%s: bad %v", name, tt.report.Bad())
		}
		for _, text := range tt.says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s: %q is not said:\n%s", name, text, out.String())
			}
		}
		if !tt.bad && (strings.Contains(out.String(), "no fault") || strings.Contains(out.String(), "not begun")) {
			t.Errorf("%s:\n%s", name, out.String())
		}
	}
}

// TestNobodyToHit: a fault that cannot be done says why.
func TestNobodyToHit(t *testing.T) {
	p := &rig.Rig{Processes: map[string]*rig.Process{rig.NATS: {Name: rig.NATS}}, Proxies: map[string]*rig.Proxy{}}
	for _, tt := range []struct{ kind, target, why string }{
		{kindKill, rig.NATS, "nats did not run"},
		{kindStop, rig.Up, "rtap up did not run"},
		{kindStop, standby, "egress 2 did not run"},
		{kindCut, "vad", "no proxy between vad"},
		{kindDevice, halfOpen, "no proxy between capture"},
	} {
		err := strike(t.Context(), p, round{kind: tt.kind}, fault{target: tt.target})
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s of %s: %v", tt.kind, tt.target, err)
		}
	}
}
