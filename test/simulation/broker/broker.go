// Package broker is a JetStream-like server in memory for simulations on a fake clock. It
// keeps what the pipeline's promises rest on as a real server does: conditional writes,
// sequences, work queues with redelivery, buckets whose keys expire, replies that get lost.
// Each client is a process that can be slow, stopped, cut off and killed, and the server
// itself can crash and lose what it had acknowledged without storing.
//
// What happens to a call is drawn from the seed, the client's name and how often that
// client made such a call; so one schedule differs from another, and not from itself.
package broker

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Weather is how bad a schedule is. The zero value is a quiet day.
type Weather struct {
	// Near is the longest usual way to the server; each way takes up to that.
	Near time.Duration
	// Slow is the share of ways that take up to Far.
	Slow float64
	Far  time.Duration
	// LostReply is the share of calls that are done, but whose caller does not hear of it.
	LostReply float64
	// LostCall is the share of calls that never arrive.
	LostCall float64
}

// Write is one accepted write, told to the observer under the server's lock.
type Write struct {
	Client, Stream, Subject string
	Sequence                uint64
	Data                    []byte
}

// Server is the whole of what is stored. Safe for concurrent use.
type Server struct {
	seed    uint64
	observe func(Write)
	closed  chan struct{}

	mu      sync.Mutex
	weather Weather
	down    bool
	streams map[string]*store
	clients map[*Client]bool
	subs    map[*subscription]bool
}

// New makes an empty server. observe is called with each accepted write and may be nil; it
// must not call the server.
func New(seed uint64, weather Weather, observe func(Write)) *Server {
	return &Server{
		seed: seed, weather: weather, observe: observe, closed: make(chan struct{}),
		streams: map[string]*store{}, clients: map[*Client]bool{}, subs: map[*subscription]bool{},
	}
}

// Close lets go of every call, those of killed clients too; all fail from now on.
func (s *Server) Close() { close(s.closed) }

// SetWeather changes what happens to calls from now on.
func (s *Server) SetWeather(w Weather) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weather = w
}

// fates draws what happens to a client's n-th call of a kind, the same in every run.
func fates(seed uint64, client, key string, n uint64) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, part := range []string{client, "\x00", key} {
		for i := range len(part) {
			h = (h ^ uint64(part[i])) * 1099511628211
		}
	}
	return rand.New(rand.NewPCG(seed^h, n))
}

// Crash stops the server for a time. All connections break, memory is lost, and of each
// stream that persists asynchronously the newest messages, up to lose of them; their
// sequences are given out again.
func (s *Server) Crash(lose int, down time.Duration) {
	s.mu.Lock()
	s.down = true
	for name, st := range s.streams {
		switch {
		case st.cfg.Storage == jetstream.MemoryStorage:
			delete(s.streams, name) // until somebody sets it up again
			for _, d := range st.consumers {
				d.gone = true
			}
		case st.cfg.PersistMode == jetstream.AsyncPersistMode:
			for range lose {
				if st.last == 0 {
					break
				}
				st.remove(st.last)
				st.last--
			}
			st.first = min(st.first, st.last+1)
		}
	}
	for c := range s.clients {
		c.cut(0)
		go c.comeBack(down + c.draw("reconnect").back)
	}
	s.mu.Unlock()
	s.sleep(down)
	s.mu.Lock()
	s.down = false
	s.mu.Unlock()
}

// sleep waits, or less when the server closes.
func (s *Server) sleep(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.closed:
	}
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// store is one stream, or the one under a bucket.
type store struct {
	cfg       jetstream.StreamConfig
	created   time.Time
	msgs      map[uint64]*message
	bySubject map[string][]uint64
	first     uint64 // nothing is below it
	last      uint64
	changed   chan struct{} // closed at the next write
	consumers map[string]*durable
	ids       map[string]uint64 // of messages, where the server knows repeats
}

type message struct {
	subject string
	seq     uint64
	data    []byte
	header  nats.Header
	at      time.Time
}

func newStore(cfg jetstream.StreamConfig) *store {
	return &store{
		cfg: cfg, created: time.Now(), msgs: map[uint64]*message{}, bySubject: map[string][]uint64{}, first: 1,
		changed: make(chan struct{}), consumers: map[string]*durable{}, ids: map[string]uint64{},
	}
}

func (st *store) remove(seq uint64) bool {
	m := st.msgs[seq]
	if m == nil {
		return false
	}
	delete(st.msgs, seq)
	left := slices.DeleteFunc(st.bySubject[m.subject], func(n uint64) bool { return n == seq })
	if len(left) == 0 {
		delete(st.bySubject, m.subject)
	} else {
		st.bySubject[m.subject] = left
	}
	for st.first <= st.last && st.msgs[st.first] == nil {
		st.first++
	}
	return true
}

// expire forgets what is too old.
func (st *store) expire(now time.Time) {
	if st.cfg.MaxAge <= 0 {
		return
	}
	for seq := st.first; seq <= st.last; seq++ {
		m := st.msgs[seq]
		if m == nil {
			continue
		}
		if now.Sub(m.at) < st.cfg.MaxAge {
			return // later ones are younger
		}
		st.remove(seq)
	}
}

// newest returns the last message of a subject; nil without one.
func (st *store) newest(subject string) *message {
	st.expire(time.Now())
	all := st.bySubject[subject]
	if len(all) == 0 {
		return nil
	}
	return st.msgs[all[len(all)-1]]
}

// from returns the messages of the subjects from a sequence on, at most n, and where to go
// on. No filter stands for every subject.
func (st *store) from(seq uint64, filters []string, n int) (out []*message, next uint64) {
	st.expire(time.Now())
	for seq = max(seq, st.first); seq <= st.last && len(out) < n; seq++ {
		if m := st.msgs[seq]; m != nil && matchesAny(filters, m.subject) {
			out = append(out, m)
		}
	}
	return out, seq
}

var errWrongSequence = &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence, Description: "wrong last sequence"}

// put stores a message under the lock; expected is the subject's last sequence, nil for no
// condition.
func (s *Server) put(client string, st *store, subject string, header nats.Header, data []byte, expected *uint64, id string) (uint64, error) {
	if id != "" && s.seed%2 == 0 { // a server that has forgotten ids is as good
		if seq, ok := st.ids[id]; ok {
			return seq, nil
		}
		st.ids[id] = st.last + 1
	}
	if expected != nil {
		have := uint64(0)
		if m := st.newest(subject); m != nil {
			have = m.seq
		}
		if have != *expected {
			return 0, errWrongSequence
		}
	}
	st.last++
	st.msgs[st.last] = &message{subject, st.last, slices.Clone(data), header, time.Now()}
	st.bySubject[subject] = append(st.bySubject[subject], st.last)
	if keep := int(st.cfg.MaxMsgsPerSubject); keep > 0 && len(st.bySubject[subject]) > keep {
		st.remove(st.bySubject[subject][0])
	}
	if s.observe != nil {
		s.observe(Write{client, st.cfg.Name, subject, st.last, data})
	}
	close(st.changed)
	st.changed = make(chan struct{})
	for _, c := range st.consumers {
		c.dispatch()
	}
	return st.last, nil
}

// storing returns the stream that keeps a subject; nil for none.
func (s *Server) storing(subject string) *store {
	for _, st := range s.streams {
		if len(st.cfg.Subjects) > 0 && matchesAny(st.cfg.Subjects, subject) {
			return st
		}
	}
	return nil
}

func matchesAny(filters []string, subject string) bool {
	return len(filters) == 0 || slices.ContainsFunc(filters, func(f string) bool { return matches(f, subject) })
}

// matches says whether a subject is among those of a filter with wildcards.
func matches(filter, subject string) bool {
	for {
		f, restF, moreF := strings.Cut(filter, ".")
		t, restT, moreT := strings.Cut(subject, ".")
		switch {
		case f == ">":
			return true
		case f != "*" && f != t, moreF != moreT:
			return false
		case !moreF:
			return true
		}
		filter, subject = restF, restT
	}
}

// Look calls f while nothing changes; f may call Stored and nothing else of the server.
func (s *Server) Look(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Stored returns the data of everything stored under the subjects now, in order. It is
// called from within [Server.Look].
func (s *Server) Stored(stream string, filters ...string) (out [][]byte) {
	st := s.streams[stream]
	if st == nil {
		panic(fmt.Sprintf("no stream %s", stream))
	}
	msgs, _ := st.from(0, filters, len(st.msgs))
	for _, m := range msgs {
		out = append(out, m.data)
	}
	return out
}
