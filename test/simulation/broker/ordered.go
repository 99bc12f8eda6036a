package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ordered is an ordered consumer: it goes on where it was after every reconnection.
type ordered struct {
	jetstream.Consumer
	client  *Client
	stream  string
	filters []string
	pos     uint64
	pending uint64
}

func (j *js) OrderedConsumer(ctx context.Context, name string, cfg jetstream.OrderedConsumerConfig) (jetstream.Consumer, error) {
	o := &ordered{client: j.client, stream: name, filters: cfg.FilterSubjects}
	err := j.client.call(ctx, "consumer "+name, func() error {
		st := j.client.server.streams[name]
		if st == nil {
			return jetstream.ErrStreamNotFound
		}
		switch cfg.DeliverPolicy {
		case jetstream.DeliverAllPolicy:
		case jetstream.DeliverByStartSequencePolicy:
			o.pos = cfg.OptStartSeq
		case jetstream.DeliverNewPolicy:
			o.pos = st.last + 1
		default:
			panic("a deliver policy that the broker does not know")
		}
		all, _ := st.from(o.pos, o.filters, len(st.msgs))
		o.pending = uint64(len(all))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (o *ordered) CachedInfo() *jetstream.ConsumerInfo {
	return &jetstream.ConsumerInfo{Stream: o.stream, NumPending: o.pending}
}

// batchLength is how many messages come with one way.
const batchLength = 32

// next waits for messages and brings them over; nil when stop or the server is closed.
func (o *ordered) next(stop <-chan struct{}) []jetstream.Msg {
	c, s := o.client, o.client.server
	for {
		s.mu.Lock()
		st := s.streams[o.stream]
		var msgs []*message
		pos := o.pos
		if st == nil {
			panic("an ordered consumer of a stream in memory")
		}
		if !c.cutOff && !s.down {
			msgs, pos = st.from(o.pos, o.filters, batchLength)
		}
		changed, connection := st.changed, c.connection
		var back time.Duration
		if len(msgs) > 0 {
			back = c.draw("consume " + o.stream).back
		}
		away := c.cutOff || s.down
		s.mu.Unlock()
		switch {
		case away:
			s.sleep(20 * time.Millisecond)
		case len(msgs) > 0:
			s.sleep(back)
			if !c.here(connection) {
				break
			}
			o.pos = pos
			out := make([]jetstream.Msg, len(msgs))
			for i, m := range msgs {
				out[i] = &delivery{m: m, stream: o.stream, deliveries: 1}
			}
			return out
		default:
			select {
			case <-changed:
			case <-stop:
			case <-s.closed:
			}
		}
		select {
		case <-stop:
			return nil
		case <-s.closed:
			return nil
		default:
		}
	}
}

type consuming struct{ stop, closed chan struct{} }

func (c *consuming) Stop() {
	select {
	case <-c.stop:
	default:
		close(c.stop)
	}
}
func (c *consuming) Drain()                  { c.Stop() }
func (c *consuming) Closed() <-chan struct{} { return c.closed }

func (o *ordered) Consume(take jetstream.MessageHandler, _ ...jetstream.PullConsumeOpt) (jetstream.ConsumeContext, error) {
	run := &consuming{make(chan struct{}), make(chan struct{})}
	go func() {
		defer close(run.closed)
		for {
			msgs := o.next(run.stop)
			if msgs == nil {
				return
			}
			for _, m := range msgs {
				select {
				case <-run.stop:
					return
				default:
				}
				take(m)
			}
		}
	}()
	return run, nil
}

type batch struct {
	msgs chan jetstream.Msg
	err  error
}

func (b *batch) Messages() <-chan jetstream.Msg { return b.msgs }
func (b *batch) Error() error                   { return b.err }

func (o *ordered) FetchNoWait(n int) (jetstream.MessageBatch, error) {
	b := &batch{msgs: make(chan jetstream.Msg, n)}
	b.err = o.client.call(context.Background(), "fetch "+o.stream, func() error {
		var msgs []*message
		msgs, o.pos = o.client.server.streams[o.stream].from(o.pos, o.filters, n)
		for _, m := range msgs {
			b.msgs <- &delivery{m: m, stream: o.stream, deliveries: 1}
		}
		return nil
	})
	if b.err != nil { // what was on the way is lost
		for len(b.msgs) > 0 {
			<-b.msgs
		}
	}
	close(b.msgs)
	return b, nil
}

// delivery is a message as a consumer gets it.
type delivery struct {
	m          *message
	stream     string
	deliveries uint64
	durable    *durable // nil for an ordered consumer
	client     *Client
}

var errNoAck = errors.New("an ordered consumer has nothing to acknowledge")

func (d *delivery) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{
		Sequence: jetstream.SequencePair{Stream: d.m.seq}, NumDelivered: d.deliveries, Timestamp: d.m.at, Stream: d.stream,
	}, nil
}
func (d *delivery) Data() []byte         { return d.m.data }
func (d *delivery) Headers() nats.Header { return d.m.header }
func (d *delivery) Subject() string      { return d.m.subject }
func (d *delivery) Reply() string        { return "" }

// settle sends one of the acknowledgements.
func (d *delivery) settle(apply func()) error {
	if d.durable == nil {
		return errNoAck
	}
	return d.client.send("ack "+d.durable.name, apply)
}

func (d *delivery) Ack() error  { return d.settle(func() { d.durable.acknowledged(d.m.seq) }) }
func (d *delivery) Term() error { return d.Ack() }
func (d *delivery) TermWithReason(string) error {
	return d.Ack()
}
func (d *delivery) Nak() error { return d.settle(func() { d.durable.again(d.m.seq, 0) }) }
func (d *delivery) NakWithDelay(delay time.Duration) error {
	return d.settle(func() { d.durable.again(d.m.seq, delay) })
}
func (d *delivery) InProgress() error {
	return d.settle(func() { d.durable.again(d.m.seq, d.durable.ackWait) })
}
func (d *delivery) DoubleAck(ctx context.Context) error {
	return d.client.call(ctx, "ack "+d.durable.name, func() error {
		d.durable.acknowledged(d.m.seq)
		return nil
	})
}
