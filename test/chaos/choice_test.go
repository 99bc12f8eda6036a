package main

import (
	"slices"
	"testing"

	"github.com/rtap/rtap/test/chaos/rig"
)

func names(rounds []round) (out []string) {
	for _, r := range rounds {
		out = append(out, r.name)
	}
	return out
}

// TestChosen: a choice comes with the references that it needs, and one that finds nothing
// fails instead of being green.
func TestChosen(t *testing.T) {
	all := makePlan(1, false)
	for name, tt := range map[string]struct {
		o    options
		want []string
	}{
		"one long":         {options{only: "kill -9 stt"}, []string{"none, long", "kill -9 stt"}},
		"one short":        {options{only: "at stt/taken"}, []string{"none, short", "at stt/taken"}},
		"of both parts":    {options{only: "lease/releasing"}, []string{"none, short", "at lease/releasing", "at lease/releasing of egress", "at lease/releasing of capture"}},
		"of the second":    {options{only: "lease/releasing", part: 2}, []string{"none, short", "at lease/releasing of egress", "at lease/releasing of capture"}},
		"without":          {options{only: "lease/releasing", without: "egress,capture"}, []string{"none, short", "at lease/releasing"}},
		"from and to":      {options{from: "disk full", to: "overload"}, []string{"none, long", "disk full for 12-20 s"}},
		"nothing so named": {o: options{only: "no such round"}},
		"no such from":     {o: options{from: "no such round"}},
		"no such to":       {o: options{to: "no such round"}},
		"all left out":     {o: options{without: "a,e,i,o,u,t"}},
	} {
		got, err := chosen(all, tt.o)
		if (err != nil) != (tt.want == nil) || err == nil && !slices.Equal(names(got), tt.want) {
			t.Errorf("%s: %q, %v", name, names(got), err)
		}
	}
	first, err := chosen(all, options{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := chosen(all, options{part: 2})
	if err != nil {
		t.Fatal(err)
	}
	if both := len(first) + len(second); both != len(all)+2 { // the references are in each
		t.Errorf("%d rounds in two parts of %d", both, len(all))
	}
}

// TestOnCluster: kills, stops and failpoints are for three servers too, and what is not is named.
func TestOnCluster(t *testing.T) {
	all := makePlan(1, false)
	rounds, without := onCluster(all)
	if len(rounds)+len(without) != len(all) {
		t.Errorf("%d rounds and %d without, of %d", len(rounds), len(without), len(all))
	}
	for _, name := range []string{"proxy cut 0.2-3 s", "device: half-open 0.5-2 s", "at capture/resending", "kill -9 rtap up", "disk full for 12-20 s"} {
		if !slices.Contains(without, name) {
			t.Errorf("%s is not left out", name)
		}
	}
	for _, name := range []string{"none, long", "kill -9 nats leader", "SIGSTOP 1-10 s nats leader", "device: kill -9 nats leader", "kill -9 cluster followers", "at stt/decoded"} {
		if !slices.Contains(names(rounds), name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, r := range rounds {
		if r.on != rig.Single {
			t.Errorf("%s is on a pipeline of its own", r.name)
		}
		for _, f := range r.faults {
			if f.target == rig.NATS {
				t.Errorf("%s hits the one server that there is not", r.name)
			}
		}
	}
	for _, r := range all { // and the plan is what it was
		if r.name == "kill -9 nats" && r.faults[0].target != rig.NATS {
			t.Errorf("%s hits %s", r.name, r.faults[0].target)
		}
	}
}
