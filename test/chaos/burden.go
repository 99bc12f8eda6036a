package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rtap/rtap/test/chaos/rig"
)

const (
	// growth is by how much the memory of a process may grow under overload, MB. All the segments of the
	// burst with their context would be as much again.
	growth = 150
	// burdenEvery is how often it is looked at.
	burdenEvery = 500 * time.Millisecond
)

// shedFirst is how many drafts must have been given up when the first final comes late: some are at any time.
const shedFirst = burst / 2

// burden is what an overload does to the processes, and what they give up.
type burden struct {
	p      *rig.Rig
	before map[string]int // MB
	most   map[string]int
	shed   map[string]float64 // drafts, of each worker, before
	given  []given

	mu     sync.Mutex
	latest time.Duration
	late   time.Time // when the first final came late
}

// given is how many drafts had been given up since the burst began when somebody began to ask.
type given struct {
	at time.Time
	n  float64
}

func newBurden(ctx context.Context, p *rig.Rig) (*burden, error) {
	shed, err := p.ShedDrafts(ctx)
	return &burden{p: p, before: p.Memory(), most: map[string]int{}, shed: shed}, err
}

// heard is called with each text of the burst.
func (b *burden) heard(t rig.Text) {
	b.mu.Lock()
	defer b.mu.Unlock()
	age := t.Got.Sub(t.Captured)
	b.latest = max(b.latest, age)
	if b.late.IsZero() && age >= overloaded {
		b.late = t.Got
	}
}

// watch looks until ctx is done.
func (b *burden) watch(ctx context.Context) {
	more := map[string]float64{} // of each worker, as it last said
	for ctx.Err() == nil {
		for name, mb := range b.p.Memory() {
			b.most[name] = max(b.most[name], mb)
		}
		asked := time.Now()
		if all, err := b.p.ShedDrafts(ctx); err == nil {
			sum := 0.0
			for worker, n := range all {
				more[worker] = n - b.shed[worker]
			}
			for _, n := range more {
				sum += n
			}
			b.given = append(b.given, given{asked, sum})
		}
		sleep(ctx, burdenEvery)
	}
}

// first is how many drafts had been given up by a moment at least, and how many in all.
func (b *burden) first(by time.Time) (then, all float64) {
	for _, g := range b.given {
		all = max(all, g.n)
		if g.at.Before(by) {
			then = max(then, g.n)
		}
	}
	return then, all
}

// judge says what was too much, once watch has returned.
func (b *burden) judge(out *outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var names []string
	for name := range b.most {
		names = append(names, name)
	}
	slices.Sort(names)
	total := 0
	var each []string
	for _, name := range names {
		total += b.most[name]
		each = append(each, fmt.Sprintf("%s %d", name, b.most[name]))
		if before, ran := b.before[name]; ran && b.most[name] > before+growth {
			out.Over++
			out.Notes = append(out.Notes, fmt.Sprintf("%s grew from %d to %d MB", name, before, b.most[name]))
		}
	}
	out.Notes = append(out.Notes, fmt.Sprintf("memory at most: %d MB (%s)", total, strings.Join(each, ", ")))
	out.Notes = append(out.Notes, fmt.Sprintf("the latest text came %.1f s after its audio", b.latest.Seconds()))
	if b.late.IsZero() {
		out.Notes = append(out.Notes, "that was no overload for this machine")
		return
	}
	then, all := b.first(b.late)
	out.Notes = append(out.Notes, fmt.Sprintf("%.0f drafts were given up, at least %.0f of them before the first final that came more than %.0f s late", all, then, overloaded.Seconds()))
	if then < shedFirst {
		out.Over++
	}
}
