package transcriber

import (
	"math"
	"sync"
	"time"
)

const (
	// loadHalfLife is how fast the load forgets.
	loadHalfLife = time.Second
	// interimShare is the share of one engine's time, taken by what is or will be final, from
	// which on there are no interims: they would take what finals of many streams need.
	interimShare = 0.3
)

// Load is how much of its time a process spends on what is or will be final, and the jobs
// that it has in hand. Workers of one process share it. Safe for concurrent use.
type Load struct {
	hands hands

	mu    sync.Mutex
	spent float64 // seconds, forgotten by half in every half-life
	at    time.Time
}

// add counts work that has ended now.
func (l *Load) add(spent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fade()
	l.spent += spent.Seconds()
}

// share returns the part of the recent time, 1 for an engine that was always busy.
func (l *Load) share() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fade()
	return l.spent * math.Ln2 / loadHalfLife.Seconds()
}

func (l *Load) fade() {
	now := time.Now()
	if !l.at.IsZero() {
		l.spent *= math.Exp2(-now.Sub(l.at).Seconds() / loadHalfLife.Seconds())
	}
	l.at = now
}
