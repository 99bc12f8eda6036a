package broker

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
)

// callTimeout is how long a call without a deadline of its own waits, as in the client library.
const callTimeout = 5 * time.Second

// Client is one process's connection.
type Client struct {
	server *Server
	name   string

	// Under the server's lock.
	calls      map[string]uint64
	dead       bool
	cutOff     bool
	connection int               // counts connections
	until      map[int]time.Time // of broken connections: what arrives before is still read
	stopped    time.Time
	arrived    map[string]time.Time // the last call of each kind
	pending    map[*future]bool
	renewed    func()
}

// Client connects a process. renewed is called after each reconnection.
func (s *Server) Client(name string) *Client {
	c := &Client{server: s, name: name, calls: map[string]uint64{}, until: map[int]time.Time{}, arrived: map[string]time.Time{}, pending: map[*future]bool{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c] = true
	return c
}

// OnReconnect sets who is told of reconnections.
func (c *Client) OnReconnect(f func()) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.renewed = f
}

// Kill ends the process: none of its calls returns any more until the server closes. What
// was on its way may still arrive.
func (c *Client) Kill() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.dead = true
	c.cut(c.draw("cut").back)
	delete(c.server.clients, c)
}

// Stop holds the process for a time: its calls and what comes for it wait.
func (c *Client) Stop(d time.Duration) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	if until := time.Now().Add(d); until.After(c.stopped) {
		c.stopped = until
	}
}

// Cut breaks the connection for a time; then it comes back, once the server is there.
func (c *Client) Cut(d time.Duration) {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.cut(c.draw("cut").back)
	go c.comeBack(d)
}

// cut is called under the lock; rest is how long the server still reads what was sent.
func (c *Client) cut(rest time.Duration) {
	c.until[c.connection] = time.Now().Add(rest)
	c.connection++
	c.cutOff = true
	for f := range c.pending {
		f.fail(nats.ErrDisconnected)
	}
	clear(c.pending)
	for sub := range c.server.subs {
		if sub.client == c {
			sub.drop()
		}
	}
	for _, st := range c.server.streams {
		for _, d := range st.consumers {
			d.leave(c)
		}
	}
}

func (c *Client) comeBack(d time.Duration) {
	s := c.server
	for {
		s.sleep(d)
		s.mu.Lock()
		if c.dead || s.isClosed() || !c.cutOff {
			s.mu.Unlock()
			return
		}
		if !s.down && !time.Now().Before(c.stopped) {
			c.cutOff = false
			renewed, later := c.renewed, c.draw("renewed").back
			s.mu.Unlock()
			// Who asks finds the connection there before anybody is told.
			s.sleep(later)
			if renewed != nil && c.awake() {
				renewed()
			}
			return
		}
		s.mu.Unlock()
		d = 100 * time.Millisecond
	}
}

// fate of a call.
type fate struct {
	out, back           time.Duration
	lostCall, lostReply bool
}

// draw is called under the lock.
func (c *Client) draw(key string) fate {
	n := c.calls[key]
	c.calls[key] = n + 1
	r, w := fates(c.server.seed, c.name, key, n), c.server.weather
	return fate{
		out: way(r, w), back: way(r, w), lostCall: r.Float64() < w.LostCall, lostReply: r.Float64() < w.LostReply,
	}
}

func way(r *rand.Rand, w Weather) time.Duration {
	far := w.Near
	if r.Float64() < w.Slow {
		far = w.Far
	}
	return 20*time.Microsecond + time.Duration(r.Float64()*float64(far))
}

// ready waits while the process is stopped, and for ever once it is dead; then it draws the
// call's fate and says when it arrives. Calls of one kind, such as writes to one subject,
// arrive in the order in which they were made; between kinds there is none, or it would hang
// on which goroutine came first within the same instant.
func (c *Client) ready(key string) (f fate, arrive time.Duration, connection int, err error) {
	s := c.server
	for {
		s.mu.Lock()
		now := time.Now()
		switch {
		case s.isClosed():
			s.mu.Unlock()
			return f, 0, 0, nats.ErrConnectionClosed
		case c.dead:
			s.mu.Unlock()
			<-s.closed
			return f, 0, 0, nats.ErrConnectionClosed
		case now.Before(c.stopped):
			wait := c.stopped.Sub(now)
			s.mu.Unlock()
			s.sleep(wait)
			continue
		case c.cutOff:
			s.mu.Unlock()
			s.sleep(100 * time.Microsecond) // nobody spins for nothing
			return f, 0, 0, nats.ErrReconnectBufExceeded
		}
		f = c.draw(key)
		at := now.Add(f.out)
		if last := c.arrived[key]; !at.After(last) {
			at = last.Add(time.Microsecond)
		}
		c.arrived[key] = at
		connection = c.connection
		s.mu.Unlock()
		return f, at.Sub(now), connection, nil
	}
}

// arrives says, under the lock, whether what was sent over a connection reaches the server.
func (c *Client) arrives(f fate, connection int) bool {
	return !c.server.isClosed() && !c.server.down && !f.lostCall && (c.connection == connection || !time.Now().After(c.until[connection]))
}

// call does one request: the way there, apply under the lock, and the way back.
func (c *Client) call(ctx context.Context, key string, apply func() error) error {
	s := c.server
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	f, wait, connection, err := c.ready(key)
	if err != nil {
		return err
	}
	abandoned := !c.rest(ctx, wait)
	s.mu.Lock()
	if !c.arrives(f, connection) {
		s.mu.Unlock()
		return c.silence(ctx)
	}
	err = apply()
	s.mu.Unlock()
	if abandoned {
		return c.silence(ctx)
	}
	if f.lostReply || !c.rest(ctx, f.back) {
		return c.silence(ctx)
	}
	if !c.here(connection) {
		return c.silence(ctx)
	}
	return err
}

// silence is what the caller of a lost request hears, when it has waited long enough.
func (c *Client) silence(ctx context.Context) error {
	select {
	case <-ctx.Done():
	case <-c.server.closed:
		return nats.ErrConnectionClosed
	}
	if !c.awake() {
		return nats.ErrConnectionClosed
	}
	return ctx.Err()
}

// here says whether an answer over a connection still reaches the process; it waits while
// the process is stopped, and for ever once it is dead.
func (c *Client) here(connection int) bool {
	if !c.awake() {
		return false
	}
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.connection == connection
}

// awake waits while the process is stopped, and for ever once it is dead; false means that
// all is over.
func (c *Client) awake() bool {
	s := c.server
	for {
		s.mu.Lock()
		dead, wait := c.dead, time.Until(c.stopped)
		s.mu.Unlock()
		switch {
		case dead:
			<-s.closed
			return false
		case s.isClosed():
			return false
		case wait <= 0:
			return true
		}
		s.sleep(wait)
	}
}

// rest sleeps, and says whether ctx and the server were there to its end.
func (c *Client) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	case <-c.server.closed:
		return false
	}
}
