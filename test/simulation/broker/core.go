package broker

import (
	"time"

	"github.com/nats-io/nats.go"
)

// core is what is not stored, as a client sees it.
type core struct{ client *Client }

// Core is publishing and subscribing without storing.
func (c *Client) Core() interface {
	PublishMsg(*nats.Msg) error
	Subscribe(subject string, take func(*nats.Msg)) (stop func(), err error)
} {
	return core{c}
}

// send lets apply run under the lock when what is sent arrives, if it does.
func (c *Client) send(key string, apply func()) error {
	s := c.server
	fate, wait, connection, err := c.ready(key)
	if err != nil {
		return err
	}
	time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c.arrives(fate, connection) {
			apply()
		}
	})
	return nil
}

func (c core) PublishMsg(m *nats.Msg) error {
	s := c.client.server
	return c.client.send("send "+m.Subject, func() {
		if st := s.storing(m.Subject); st != nil {
			_, _ = s.put(c.client.name, st, m.Subject, m.Header, m.Data, nil, "")
		}
		s.hear(m)
	})
}

// hear brings a message to who listens; it is called under the lock.
func (s *Server) hear(m *nats.Msg) {
	for sub := range s.subs {
		if matches(sub.subject, m.Subject) && !sub.client.cutOff {
			sub.deliver(m)
		}
	}
}

// subscription hands messages over one at a time, in order.
type subscription struct {
	client  *Client
	subject string
	wake    chan struct{}
	queue   []*nats.Msg // under the server's lock
}

func (c core) Subscribe(subject string, take func(*nats.Msg)) (stop func(), err error) {
	s := c.client.server
	sub := &subscription{client: c.client, subject: subject, wake: make(chan struct{}, 1)}
	ended := make(chan struct{})
	s.mu.Lock()
	s.subs[sub] = true
	s.mu.Unlock()
	go func() {
		for {
			select {
			case <-sub.wake:
			case <-ended:
				return
			case <-s.closed:
				return
			}
			for {
				s.mu.Lock()
				if len(sub.queue) == 0 {
					s.mu.Unlock()
					break
				}
				m := sub.queue[0]
				sub.queue = sub.queue[1:]
				back := c.client.draw("hear " + subject).back
				s.mu.Unlock()
				s.sleep(back)
				if !c.client.awake() {
					return
				}
				take(m)
			}
		}
	}()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.subs[sub] {
			delete(s.subs, sub)
			close(ended)
		}
	}, nil
}

// deliver and drop are called under the lock.
func (sub *subscription) deliver(m *nats.Msg) {
	sub.queue = append(sub.queue, m)
	select {
	case sub.wake <- struct{}{}:
	default:
	}
}

func (sub *subscription) drop() { sub.queue = nil }
