package broker

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// durable is a consumer with explicit acknowledgement that many clients pull from. Its
// state is under the server's lock and outlives the server's crashes.
type durable struct {
	server  *Server
	store   *store
	name    string
	filter  string
	ackWait time.Duration
	given   uint64 // messages up to this sequence have been delivered once
	out     map[uint64]*outstanding
	waiting []*pull
	gone    bool // with its stream
}

// outstanding is a message that was delivered and not acknowledged.
type outstanding struct {
	deliveries uint64
	due        time.Time // when it goes out again
}

// pull is a client that waits for a message.
type pull struct {
	client *Client
	got    chan *delivery
}

func (j *js) CreateOrUpdateConsumer(ctx context.Context, name string, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	s := j.client.server
	h := &handle{client: j.client}
	err := j.client.call(ctx, "consumer "+cfg.Durable, func() error {
		st := s.streams[name]
		if st == nil {
			return jetstream.ErrStreamNotFound
		}
		h.durable = st.consumers[cfg.Durable]
		if h.durable == nil {
			h.durable = &durable{server: s, store: st, name: cfg.Durable, filter: cfg.FilterSubject, out: map[uint64]*outstanding{}}
			st.consumers[cfg.Durable] = h.durable
		}
		h.durable.ackWait = cfg.AckWait
		return nil
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// handle is a durable as a client sees it.
type handle struct {
	jetstream.Consumer
	client  *Client
	durable *durable
}

// pullWait is how long a pull waits for a message.
const pullWait = 30 * time.Second

// Next ignores its options: it returns when the server closes.
func (h *handle) Next(...jetstream.FetchOpt) (jetstream.Msg, error) {
	c, s, d := h.client, h.client.server, h.durable
	ctx, cancel := context.WithTimeout(context.Background(), pullWait)
	defer cancel()
	fate, wait, connection, err := c.ready("pull " + d.name)
	if err != nil {
		return nil, err
	}
	c.rest(ctx, wait)
	p := &pull{c, make(chan *delivery, 1)}
	s.mu.Lock()
	if d.gone || !c.arrives(fate, connection) || c.connection != connection {
		s.mu.Unlock()
		s.sleep(time.Second) // missed heartbeats
		return nil, nats.ErrNoHeartbeat
	}
	d.waiting = append(d.waiting, p)
	d.dispatch()
	s.mu.Unlock()
	select {
	case m, ok := <-p.got:
		if !ok { // the connection broke
			s.sleep(time.Second)
			return nil, nats.ErrNoHeartbeat
		}
		s.sleep(fate.back)
		if fate.lostReply || !c.here(connection) {
			return nil, nats.ErrNoHeartbeat
		}
		return m, nil
	case <-s.closed:
		return nil, nats.ErrConnectionClosed
	case <-ctx.Done():
		s.mu.Lock()
		d.waiting = slices.DeleteFunc(d.waiting, func(q *pull) bool { return q == p })
		s.mu.Unlock()
		if !c.awake() {
			return nil, nats.ErrConnectionClosed
		}
		return nil, context.DeadlineExceeded
	}
}

// The rest is called under the lock.

// leave forgets the pulls of a client whose connection broke.
func (d *durable) leave(c *Client) {
	d.waiting = slices.DeleteFunc(d.waiting, func(p *pull) bool {
		if p.client == c {
			close(p.got)
		}
		return p.client == c
	})
}

// dispatch gives what is due to who waits: what comes again first, then what is new.
func (d *durable) dispatch() {
	for len(d.waiting) > 0 {
		m, o := d.due()
		if m == nil {
			return
		}
		o.deliveries++
		o.due = time.Now().Add(d.ackWait)
		d.remind(d.ackWait)
		p := d.waiting[0]
		d.waiting = d.waiting[1:]
		p.got <- &delivery{m: m, stream: d.store.cfg.Name, deliveries: o.deliveries, durable: d, client: p.client}
	}
}

func (d *durable) due() (*message, *outstanding) {
	d.store.expire(time.Now())
	var again uint64
	for seq, o := range d.out {
		if d.store.msgs[seq] == nil {
			delete(d.out, seq) // expired, or replaced by a newer one
		} else if !time.Now().Before(o.due) && (again == 0 || seq < again) {
			again = seq
		}
	}
	if again != 0 {
		return d.store.msgs[again], d.out[again]
	}
	var filters []string
	if d.filter != "" {
		filters = []string{d.filter}
	}
	msgs, next := d.store.from(d.given+1, filters, 1)
	d.given = max(d.given, next-1)
	if len(msgs) == 0 {
		return nil, nil
	}
	d.out[msgs[0].seq] = &outstanding{}
	return msgs[0], d.out[msgs[0].seq]
}

// remind looks again when something may have become due.
func (d *durable) remind(after time.Duration) {
	time.AfterFunc(after, func() {
		d.server.mu.Lock()
		defer d.server.mu.Unlock()
		if !d.server.isClosed() {
			d.dispatch()
		}
	})
}

func (d *durable) acknowledged(seq uint64) {
	delete(d.out, seq)
	if d.store.cfg.Retention == jetstream.WorkQueuePolicy {
		d.store.remove(seq)
	}
}

func (d *durable) again(seq uint64, after time.Duration) {
	if o := d.out[seq]; o != nil {
		o.due = time.Now().Add(after)
		d.remind(after)
	}
}
