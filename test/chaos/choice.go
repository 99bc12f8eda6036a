package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rtap/rtap/test/chaos/rig"
)

// printPlan writes the schedule, to be compared with another run's.
func printPlan(w io.Writer, seed uint64, rounds []round) {
	fmt.Fprintf(w, "SEED=%d\n", seed)
	for _, r := range rounds {
		fmt.Fprintf(w, "%s\n", r.name)
		for _, f := range r.faults {
			fmt.Fprintf(w, "  %v\n", f)
		}
	}
}

// chosen are the rounds that were asked for, and the references that they need.
func chosen(all []round, o options) (out []round, err error) {
	place := func(text string, without int) int {
		if text == "" {
			return without
		}
		at := slices.IndexFunc(all, func(r round) bool { return strings.Contains(r.name, text) })
		if at < 0 {
			err = errors.Join(err, fmt.Errorf("no round's name holds %q; see -plan", text))
		}
		return at
	}
	named := func(r round, texts string) bool {
		return slices.ContainsFunc(strings.Split(texts, ","), func(text string) bool { return strings.Contains(r.name, text) })
	}
	part := o.part
	if part == 0 && o.only+o.from+o.to == "" {
		part = 1
	}
	from, to := place(o.from, 0), place(o.to, len(all))
	wanted := func(i int) bool {
		r := all[i]
		return r.kind != kindNone && i >= from && i < to && named(r, o.only) && (o.without == "" || !named(r, o.without)) &&
			(part == 0 || r.second == (part == 2))
	}
	for i, r := range all {
		reference := false
		for k, x := range all {
			reference = reference || r.kind == kindNone && wanted(k) && (x.long == r.long || x.kind == kindOverload)
		}
		if wanted(i) || reference {
			out = append(out, r)
		}
	}
	if err == nil && len(out) == 0 {
		err = errors.New("no round is as was asked for with -only, -without, -from, -to and -part; see -plan")
	}
	return out, err
}

// onCluster is what of the rounds can be played on three servers: where the one server was hit
// the one that leads is, and what needs a proxy, a small disk, a clock of its own or `rtap up` is left out.
func onCluster(all []round) (rounds []round, without []string) {
	for _, r := range all {
		proxied := r.kind == kindCut || r.kind == kindDelay || r.kind == kindHalfOpen || r.point != nil && r.point.with == cut
		for _, f := range r.faults {
			proxied = proxied || r.kind == kindDevice && f.target != rig.NATS
		}
		if proxied || r.on == rig.ByUp || r.on == rig.Stepped {
			without = append(without, r.name)
			continue
		}
		r.on = rig.Single // the pipeline that stands, which is a cluster's
		r.faults = slices.Clone(r.faults)
		for i := range r.faults {
			if f := &r.faults[i]; f.target == rig.NATS {
				f.target = leader
			}
		}
		if strings.HasSuffix(r.name, rig.NATS) {
			r.name += " leader"
		}
		rounds = append(rounds, r)
	}
	return rounds, without
}
