package lease

import (
	"sync"
	"time"
)

// state is what a keeper knows of its lease now.
type state struct {
	mu       sync.Mutex
	token    Token
	deadline time.Time // until when it is held without a further renewal; zero: not held
	changed  chan struct{}
	others   bool // another's when it was last seen
}

func (s *state) held() (Token, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.token, time.Now().Before(s.deadline)
}

func (s *state) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// begin starts a term; the write that took the lease was sent at a moment.
func (s *state) begin(t Token, sent time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.deadline, s.others = t, until(sent), false
	s.tell()
}

// renew prolongs a term, unless its time has run out already.
func (s *state) renew(sent time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Before(s.deadline) {
		return false
	}
	s.deadline = until(sent)
	return true
}

// left is for how long the lease is held without a further renewal.
func (s *state) left() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Until(s.deadline)
}

// seen notes that another process holds the lease.
func (s *state) seen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others = true
}

func (s *state) isOthers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.others
}

// end is the end of a term.
func (s *state) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = time.Time{}
	s.tell()
}

func (s *state) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// until is when a holder gives up what it wrote last at a moment. The server counts from
// when it stored that, which is later.
func until(sent time.Time) time.Time { return sent.Add(TTL - Margin) }
