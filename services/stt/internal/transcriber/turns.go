package transcriber

import (
	"context"
	"sync"
)

// class of work, in the order in which it gets the engine.
type class int

const (
	classInterim     class = iota // ended when anything else wants the engine
	classSpeculative              // becomes a final within the hangover
	classFinal
	classes
)

// turns gives the engine to one piece of work at a time: the highest class that waits.
type turns struct {
	mu      sync.Mutex
	changed *sync.Cond
	busy    bool
	resting bool // there is no engine
	holder  class
	cancel  context.CancelFunc // of the interim that holds the engine
	waiting [classes]int
}

func newTurns() *turns {
	t := &turns{}
	t.changed = sync.NewCond(&t.mu)
	return t
}

// take waits for the engine.
func (t *turns) take(c class) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting[c]++
	if t.cancel != nil && c > t.holder {
		t.cancel()
	}
	for t.busy || t.outranked(c) {
		t.changed.Wait()
	}
	t.waiting[c]--
	t.busy, t.holder = true, c
}

// try takes the engine for an interim if nothing else has or wants it; cancel is called
// when something does later.
func (t *turns) try(cancel context.CancelFunc) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy || t.resting || t.outranked(classInterim) {
		return false
	}
	t.busy, t.holder, t.cancel = true, classInterim, cancel
	return true
}

func (t *turns) outranked(c class) bool {
	for _, n := range t.waiting[c+1:] {
		if n > 0 {
			return true
		}
	}
	return false
}

// give makes the engine free.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy, t.cancel = false, nil
	t.changed.Broadcast()
}

// rest says whether there is no engine; the caller holds the turn.
func (t *turns) rest(yes bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.resting = yes
}

// open says whether work of a class would get the engine at once, or after an interim.
func (t *turns) open(c class) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.resting || t.busy && (t.holder >= c || t.holder > classInterim) {
		return false
	}
	return t.waiting[classSpeculative] == 0 && t.waiting[classFinal] == 0
}
