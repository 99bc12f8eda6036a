package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// report is the whole outcome, as JSON.
type report struct {
	Seed    uint64
	Began   time.Time
	Seconds float64
	Rounds  []*outcome
	// PlannedKills are the deaths by SIGKILL that were to happen, and Kills those that did: more,
	// where somebody had to be killed for another to come to a failpoint.
	PlannedKills, Kills int
	// Cluster says that there were three servers, and Without names the rounds that are none for them.
	Cluster bool     `json:",omitempty"`
	Without []string `json:",omitempty"`
	// Left are rounds for which there was no time.
	Left []string `json:",omitempty"`
}

const columns = "%-32s %5s %5s %6s %6s %5s %7s %6s %4s %5s %4s %5s %5s %7s %7s %8s\n"

func printRound(w io.Writer, o *outcome, head bool) {
	if head {
		fmt.Fprintf(w, columns, "fault", "runs", "kills", "speech", "finals", "lost", "doubled", "order", "cut", "stuck", "over", "split", "empty", "p50 s", "max s", "failover")
	}
	p50, most := quantiles(o.Recovery)
	failover := "-" // what a client does whom nothing happens to is no failover
	if strings.HasSuffix(o.Name, active) {
		failover = fmt.Sprintf("%.2f", o.Failover)
	}
	n := func(x int) string { return fmt.Sprint(x) }
	fmt.Fprintf(w, columns, o.Name, n(o.Faults), n(o.Kills), n(o.Expected), n(o.Finals), n(o.Lost), n(o.Doubled), n(o.Disorder), n(o.Cut), n(o.Stuck), n(o.Over), n(o.Split), n(o.Empty), p50, most, failover)
	for _, note := range o.Notes {
		fmt.Fprintf(w, "    %s\n", note)
	}
}

// Bad says whether a round was, or was not even begun.
func (r *report) Bad() bool {
	return len(r.Left) > 0 || slices.ContainsFunc(r.Rounds, (*outcome).Bad)
}

// sum prints the last lines.
func (r *report) sum(w io.Writer) {
	all := &outcome{Name: "all"}
	for _, o := range r.Rounds {
		all.Faults += o.Faults
		all.Kills += o.Kills
		all.Stuck += o.Stuck
		all.Over += o.Over
		all.Recovery = append(all.Recovery, o.Recovery...)
		all.Failover = max(all.Failover, o.Failover)
		v := o.Verdict
		v.Notes = nil
		all.Add(v)
	}
	printRound(w, all, false)
	r.Kills = all.Kills
	fmt.Fprintf(w, "%d rounds in %.0f s; kill -9: %d planned, %d happened; %d ordinals were followed to their one result; SEED=%d\n",
		len(r.Rounds), r.Seconds, r.PlannedKills, r.Kills, all.Followed, r.Seed)
	for _, o := range r.Rounds {
		if o.idle() {
			fmt.Fprintf(w, "no fault happened: %s\n", o.Name)
		}
	}
	if len(r.Left) > 0 {
		fmt.Fprintf(w, "not begun, for want of time: %s\n", strings.Join(r.Left, ", "))
	}
}

func quantiles(x []float64) (p50, most string) {
	if len(x) == 0 {
		return "-", "-"
	}
	s := slices.Sorted(slices.Values(x))
	return fmt.Sprintf("%.2f", s[(len(s)-1)/2]), fmt.Sprintf("%.2f", s[len(s)-1])
}
