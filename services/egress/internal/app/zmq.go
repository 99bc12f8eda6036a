package app

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/zmq"
)

// zmqQueue is how many messages wait for the socket, which takes them without waiting for
// any subscriber.
const zmqQueue = 4096

// publisher is the only goroutine that touches the transcript socket.
type publisher struct {
	rt   *service.Runtime
	hub  *feed.Hub
	out  *zmq.Publisher
	sent uint64 // sequence in the log up to which everything was published
	log  string // which log that is
}

// publish gives subscribers everything that is handed out. If it falls behind, after a long
// stop of the process, it goes on from the log.
func publish(ctx context.Context, rt *service.Runtime, hub *feed.Hub, out *zmq.Publisher) error {
	defer counted(rt, out, "zmq_transcripts")()
	p := &publisher{rt: rt, hub: hub, out: out}
	for behind := false; ; behind = true {
		if err := p.pump(ctx, behind); err != nil && ctx.Err() == nil {
			rt.Log.Warn("what the zmq feed lacks cannot be read, trying again", "error", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
			rt.Log.Warn("the zmq feed has fallen behind, going on from the log")
		}
	}
}

// counted shows how many subscribers a socket has until it is closed.
func counted(rt *service.Runtime, p *zmq.Publisher, name string) (closeIt func()) {
	var wg sync.WaitGroup
	gauge := rt.Metrics.Subscribers.WithLabelValues(name)
	wg.Go(func() { p.Count(func(n int) { gauge.Set(float64(n)) }) })
	return func() {
		_ = p.Close()
		wg.Wait()
	}
}

// pump returns nil when its queue has overflowed.
func (p *publisher) pump(ctx context.Context, behind bool) error {
	full := make(chan struct{})
	queue, cancel := p.hub.SubscribeTo(zmqQueue, p.wants, func() { close(full) })
	defer cancel()
	if behind && p.sent > 0 {
		if err := p.hub.Read(ctx, feed.Range{After: p.sent}, func(m feed.Message) (bool, error) {
			p.send(m)
			return true, nil
		}); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-full:
			return nil
		case m := <-queue:
			if !m.Final || m.Sequence > p.sent || m.Entry.LogID() != p.log {
				p.send(m)
			}
		}
	}
}

// wants: events have a socket of their own.
func (p *publisher) wants(m feed.Message) bool {
	return m.Started == nil && (m.Final || p.rt.Config.Egress.ZMQ.Interims)
}

func (p *publisher) send(m feed.Message) {
	topic := "interim."
	if m.Final {
		topic = "transcript."
		p.sent, p.log = m.Sequence, m.Entry.LogID()
	}
	if err := p.out.Send(topic+m.Stream, m.Data, m.Seq); err != nil {
		p.rt.Metrics.Errors.WithLabelValues("egress", "zmq").Inc()
	}
}

// publishEvents passes service and VAD events on: topics event.<…> as on the bus.
func publishEvents(ctx context.Context, rt *service.Runtime, p *zmq.Publisher) error {
	defer counted(rt, p, "zmq_events")()
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	queue := make(chan *nats.Msg, 1024)
	for _, subject := range []string{bus.AllEvents, bus.AllVad} {
		sub, err := rt.Bus.Conn().ChanSubscribe(subject, queue)
		if err != nil {
			return err
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	for n := uint32(1); ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-queue:
			topic := strings.TrimPrefix(m.Subject, "rtap.v1.")
			if strings.HasPrefix(topic, "vad.") {
				topic = "event." + topic
			}
			if err := p.Send(topic, m.Data, n); err != nil {
				rt.Metrics.Errors.WithLabelValues("egress", "zmq").Inc()
			}
		}
	}
}
