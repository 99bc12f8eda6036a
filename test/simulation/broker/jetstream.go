package broker

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// js is JetStream as a client sees it. What is not written here panics.
type js struct {
	jetstream.JetStream
	client *Client
}

// JS is JetStream on the client's connection.
func (c *Client) JS() jetstream.JetStream { return &js{client: c} }

func (j *js) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (ack *jetstream.PubAck, err error) {
	expected, id := publishOptions(opts)
	c := j.client
	err = c.call(ctx, "publish "+m.Subject, func() error {
		st := c.server.storing(m.Subject)
		if st == nil {
			return jetstream.ErrNoStreamResponse
		}
		seq, err := c.server.put(c.name, st, m.Subject, m.Header, m.Data, expected, id)
		ack = &jetstream.PubAck{Stream: st.cfg.Name, Sequence: seq}
		return err
	})
	if err != nil {
		return nil, err
	}
	return ack, nil
}

// future is the acknowledgement of an asynchronous publication.
type future struct {
	msg  *nats.Msg
	ok   chan *jetstream.PubAck
	err  chan error
	done bool
}

func (f *future) Ok() <-chan *jetstream.PubAck { return f.ok }
func (f *future) Err() <-chan error            { return f.err }
func (f *future) Msg() *nats.Msg               { return f.msg }

// fail and succeed are called under the server's lock.
func (f *future) fail(err error) {
	if !f.done {
		f.done = true
		f.err <- err
	}
}

func (f *future) succeed(ack *jetstream.PubAck) {
	if !f.done {
		f.done = true
		f.ok <- ack
	}
}

func (j *js) PublishMsgAsync(m *nats.Msg, opts ...jetstream.PublishOpt) (jetstream.PubAckFuture, error) {
	c, s := j.client, j.client.server
	expected, id := publishOptions(opts)
	fate, wait, connection, err := c.ready("publish " + m.Subject)
	if err != nil {
		return nil, err
	}
	f := &future{msg: m, ok: make(chan *jetstream.PubAck, 1), err: make(chan error, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	c.pending[f] = true
	time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		st := s.storing(m.Subject)
		if st == nil || !c.arrives(fate, connection) {
			return // the publisher waits
		}
		seq, err := s.put(c.name, st, m.Subject, m.Header, m.Data, expected, id)
		if fate.lostReply {
			return
		}
		time.AfterFunc(fate.back, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if c.connection != connection || s.isClosed() {
				return
			}
			delete(c.pending, f)
			if err != nil {
				f.fail(err)
				return
			}
			f.succeed(&jetstream.PubAck{Stream: st.cfg.Name, Sequence: seq})
		})
	})
	return f, nil
}

func (j *js) CreateStream(ctx context.Context, cfg jetstream.StreamConfig) (jetstream.Stream, error) {
	err := j.client.call(ctx, "create "+cfg.Name, func() error {
		if j.client.server.streams[cfg.Name] != nil {
			return jetstream.ErrStreamNameAlreadyInUse
		}
		j.client.server.streams[cfg.Name] = newStore(cfg)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return j.Stream(ctx, cfg.Name)
}

func (j *js) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s := &stream{client: j.client, name: name}
	var err error
	s.info, err = s.Info(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// stream is one stream as a client sees it.
type stream struct {
	jetstream.Stream
	client *Client
	name   string
	info   *jetstream.StreamInfo
}

// do calls with the store, which is there.
func (s *stream) do(ctx context.Context, what string, apply func(*store) error) error {
	return s.client.call(ctx, what+" "+s.name, func() error {
		st := s.client.server.streams[s.name]
		if st == nil {
			return jetstream.ErrStreamNotFound
		}
		return apply(st)
	})
}

func (s *stream) CachedInfo() *jetstream.StreamInfo { return s.info }

func (s *stream) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (info *jetstream.StreamInfo, err error) {
	filter := infoFilter(opts)
	err = s.do(ctx, "info", func(st *store) error {
		st.expire(time.Now())
		state := jetstream.StreamState{Msgs: uint64(len(st.msgs)), FirstSeq: st.first, LastSeq: st.last}
		if filter != "" {
			state.Subjects = map[string]uint64{}
			for subject, all := range st.bySubject {
				if matches(filter, subject) {
					state.Subjects[subject] = uint64(len(all))
				}
			}
		}
		info = &jetstream.StreamInfo{Config: st.cfg, State: state, Created: st.created, TimeStamp: time.Now()}
		return nil
	})
	return info, err
}

func raw(m *message) *jetstream.RawStreamMsg {
	return &jetstream.RawStreamMsg{Subject: m.subject, Sequence: m.seq, Header: m.header, Data: slices.Clone(m.data), Time: m.at}
}

func (s *stream) GetLastMsgForSubject(ctx context.Context, subject string) (out *jetstream.RawStreamMsg, err error) {
	err = s.do(ctx, "last "+subject, func(st *store) error {
		m := st.newest(subject)
		if m == nil {
			return jetstream.ErrMsgNotFound
		}
		out = raw(m)
		return nil
	})
	return out, err
}

func (s *stream) GetMsg(ctx context.Context, seq uint64, opts ...jetstream.GetMsgOpt) (out *jetstream.RawStreamMsg, err error) {
	next := nextFor(opts)
	err = s.do(ctx, "get", func(st *store) error {
		st.expire(time.Now())
		m := st.msgs[seq]
		if next != "" {
			m = nil
			if msgs, _ := st.from(seq, []string{next}, 1); len(msgs) > 0 {
				m = msgs[0]
			}
		}
		if m == nil {
			return jetstream.ErrMsgNotFound
		}
		out = raw(m)
		return nil
	})
	return out, err
}

func (s *stream) DeleteMsg(ctx context.Context, seq uint64) error {
	return s.do(ctx, "delete", func(st *store) error {
		if !st.remove(seq) {
			return jetstream.ErrMsgNotFound
		}
		return nil
	})
}

func (s *stream) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	var r jetstream.StreamPurgeRequest
	for _, opt := range opts {
		if err := opt(&r); err != nil {
			return err
		}
	}
	return s.do(ctx, "purge", func(st *store) error {
		var filters []string
		if r.Subject != "" {
			filters = []string{r.Subject}
		}
		all, _ := st.from(0, filters, len(st.msgs))
		for i, m := range all {
			if (r.Sequence == 0 || m.seq < r.Sequence) && i < len(all)-int(r.Keep) {
				st.remove(m.seq)
			}
		}
		return nil
	})
}
