package feed

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/failpoint"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Message is what subscribers get; Data is shared and must not be changed.
type Message struct {
	Stream   string
	Seq      uint32
	Final    bool // from the log: Results, UtteranceEnd, StreamEnd
	Data     []byte
	Sequence uint64 // in RTAP_TRANSCRIPTS; 0 for interims
	Results  *rtapv1.Results
	// Entry is the parsed message of a final.
	Entry wire.Entry
	// Started is set, and only that and Stream and Data, when speech has begun.
	Started *rtapv1.SpeechStarted
}

// Hub reads the log and the interims once and hands them to all subscribers.
type Hub struct {
	rt    *service.Runtime
	ready chan struct{} // closed when no final can be missed any more

	mu   sync.Mutex
	subs map[chan Message]subscriber
	last map[string]uint64 // ordinal of each stream's last final
	open map[string]shown  // newest interim of each stream
}

type subscriber struct {
	wants func(Message) bool
	slow  func() // called when the queue is full
}

// shown is an interim that was handed on.
type shown struct {
	ordinal, revision uint32
}

// NewHub makes a hub without subscribers.
func NewHub(rt *service.Runtime) *Hub {
	return &Hub{rt: rt, ready: make(chan struct{}), subs: map[chan Message]subscriber{}, last: map[string]uint64{}, open: map[string]shown{}}
}

// Subscribe gives a queue of that length with everything that is handed out. A full queue
// ends the subscription: slow is called once, and nobody else waits.
func (h *Hub) Subscribe(length int, slow func()) (queue <-chan Message, cancel func()) {
	return h.SubscribeTo(length, func(Message) bool { return true }, slow)
}

// SubscribeTo is Subscribe for what is wanted; wants must return at once.
func (h *Hub) SubscribeTo(length int, wants func(Message) bool, slow func()) (queue <-chan Message, cancel func()) {
	q := make(chan Message, length)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs[q] = subscriber{wants, slow}
	return q, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.subs, q)
	}
}

func (h *Hub) send(m Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for q, s := range h.subs {
		if !s.wants(m) {
			continue
		}
		select {
		case q <- m:
		default:
			delete(h.subs, q)
			h.rt.Metrics.Shed.WithLabelValues("slow_subscriber").Inc()
			s.slow()
		}
	}
}

// Ready is closed when every final from now on will be handed out.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Run reads until ctx is done.
func (h *Hub) Run(ctx context.Context) error {
	if err := h.rt.Bus.Await(ctx); err != nil {
		return err
	}
	interims, err := h.rt.Bus.Subscribe(bus.AllInterims, h.interim)
	if err != nil {
		return fmt.Errorf("reading interims: %w", err)
	}
	defer interims()
	events, err := h.rt.Bus.Subscribe(bus.Vad("*", "started"), h.started)
	if err != nil {
		return fmt.Errorf("reading events: %w", err)
	}
	defer events()
	var from uint64
	if !bus.Retry(ctx, h.rt.Log, "finding the end of the transcript log", func() (err error) {
		from, err = h.rt.Bus.NextFinalSequence(ctx)
		return err
	}) {
		return ctx.Err()
	}
	close(h.ready)
	log := ""
	for {
		// Of the same connection as the log's id: what is read must be of that log.
		again := h.rt.Bus.Reconnected()
		// A server that came back empty, or from a backup, has another log and counts anew.
		id, err := h.rt.Bus.LogID(ctx)
		if err == nil && log != "" && id != log {
			h.rt.Log.Warn("the transcript log is another one, its finals are numbered from 1", "log_id", id, "before", log)
			from = 1
			h.forget()
		}
		if err == nil {
			log = id
		}
		next, err := h.follow(ctx, again, from)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			h.rt.Log.Warn("reading finals starts anew", "error", err)
		}
		from = next
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// forget is for another log, whose ordinals have nothing to do with the last one's.
func (h *Hub) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.last)
	clear(h.open)
}

// follow hands on the log from a sequence on and returns where to go on.
func (h *Hub) follow(ctx context.Context, again <-chan struct{}, from uint64) (uint64, error) {
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{bus.AllFinals}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from,
	}
	err := h.rt.Bus.Follow(ctx, again, bus.StreamTranscripts, cfg, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("reading a final: %w", err)
		}
		from = meta.Sequence.Stream + 1
		msg, ok := parse(m.Data(), meta.Sequence.Stream)
		if !ok {
			h.rt.Metrics.Errors.WithLabelValues("egress", "bad_final").Inc()
			return nil
		}
		h.mu.Lock()
		if msg.Results != nil {
			h.last[msg.Stream] = msg.Entry.Released()
		}
		h.mu.Unlock()
		failpoint.At("egress/read")
		h.send(msg)
		failpoint.At("egress/sent")
		h.observe(msg)
		return nil
	})
	return from, err
}

func parse(data []byte, sequence uint64) (Message, bool) {
	e, err := wire.ParseEntry(data)
	if err != nil {
		return Message{}, false
	}
	return Message{Stream: e.StreamID(), Seq: e.Seq(), Final: true, Data: data, Sequence: sequence, Results: e.Results, Entry: e}, true
}

// observe takes the latencies that the final carries; it has just been handed over.
func (h *Hub) observe(m Message) {
	if m.Results == nil || m.Entry.Late() {
		return
	}
	r := m.Results.GetRtap()
	l, stream := r.GetLatencyMs(), h.rt.Metrics.Stream(m.Stream)
	obs.Observe(h.rt.Metrics.PipelineLatency.WithLabelValues(stream), l.GetPipeline()/1000, r.GetTraceId())
	obs.Observe(h.rt.Metrics.FinalLatency.WithLabelValues(stream), l.GetSpeechEndToFinal()/1000, r.GetTraceId())
}

func (h *Hub) interim(msg *nats.Msg) {
	r := &rtapv1.Results{}
	if err := wire.UnmarshalJSON(msg.Data, r); err != nil {
		h.rt.Metrics.Errors.WithLabelValues("egress", "bad_interim").Inc()
		return
	}
	// Two workers may answer in another order than they were asked.
	stream, now := r.GetRtap().GetStreamId(), shown{r.GetRtap().GetOrdinal(), r.GetRtap().GetRevision()}
	h.mu.Lock()
	before := h.open[stream]
	stale := uint64(now.ordinal) <= h.last[stream] || now.ordinal < before.ordinal || now.ordinal == before.ordinal && now.revision < before.revision
	if !stale {
		h.open[stream] = now
	}
	h.mu.Unlock()
	if stale {
		h.rt.Metrics.Shed.WithLabelValues("stale_interim").Inc()
		return
	}
	h.send(Message{Stream: stream, Data: msg.Data, Results: r})
	if ms := r.GetRtap().GetLatencyMs().GetPipeline(); ms > 0 {
		obs.Observe(h.rt.Metrics.InterimLatency.WithLabelValues(h.rt.Metrics.Stream(stream)), ms/1000, r.GetRtap().GetTraceId())
	}
}
