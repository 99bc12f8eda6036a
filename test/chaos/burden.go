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

// burden is what an overload does to the processes, and what they give up.
type burden struct {
	p      *rig.Rig
	before map[string]int // MB
	most   map[string]int
	shed   float64 // drafts, before
	more   float64 // since
	first  time.Time

	mu     sync.Mutex
	latest time.Duration
	late   time.Time // when the first final came late
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
	for ctx.Err() == nil {
		for name, mb := range b.p.Memory() {
			b.most[name] = max(b.most[name], mb)
		}
		asked := time.Now()
		if n, err := b.p.ShedDrafts(ctx); err == nil && n > b.shed {
			b.more = n - b.shed
			if b.first.IsZero() {
				b.first = asked
			}
		}
		sleep(ctx, burdenEvery)
	}
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
	switch {
	case b.late.IsZero():
		out.Notes = append(out.Notes, "that was no overload for this machine")
	case b.first.IsZero() || b.first.After(b.late):
		out.Over++
		out.Notes = append(out.Notes, fmt.Sprintf("finals came late, and no draft had been given up by then (%.0f in all)", b.more))
	default:
		out.Notes = append(out.Notes, fmt.Sprintf("%.0f drafts were given up, the first at least %.1f s before a final came more than %v late", b.more, b.late.Sub(b.first).Seconds(), overloaded))
	}
}
