package listen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/websocket"
	"google.golang.org/protobuf/proto"
)

// patience is how long a client that has closed its stream waits for the next thing to
// happen on it before it is told that nothing does.
const patience = time.Minute

// countWait is how long the word on a problem waits for audio that is being stored.
const countWait = 500 * time.Millisecond

// Codes that Deepgram's clients know, as close reasons.
const (
	netNoResult = "NET-0000"
	netIdle     = "NET-0001"
	badData     = "DATA-0000"
	notStored   = "STORE-0000"
	streamEnded = "STORE-0001"
)

// session is one client's connection. Three goroutines work on it: receive reads what the
// client sends, the uplink stores it, and run writes what the client gets.
type session struct {
	rt     *service.Runtime
	log    *slog.Logger
	hub    *feed.Hub
	id     string // of the request
	q      query
	opened time.Time
	epoch  uint64 // the stream's epochs up to this one are others'
	logID  string

	up       *uplink
	timeline *timeline
	conn     *websocket.Conn
	queue    <-chan feed.Message // of all streams
	outcomes chan *nats.Msg      // results of this one, and vad's answers to Finalize
	slow     chan struct{}       // closed when the client does not keep up
	notices  chan proto.Message  // from the uplink and the reader to the client
	asks     chan bool           // a Finalize is stored, or nothing has come since the last
	over     chan ending         // what ends the client's part
	stop     <-chan struct{}     // closed when the server stops

	// Of run alone.
	seq      uint32
	models   []*rtapv1.ResultsMetadata
	through  uint64          // ordinals up to this one are settled: given to the client, or without a text
	settled  map[uint64]bool // ordinals above it that have no text
	waiting  []uint64        // a Finalize without a text is answered when these are settled
	asked    int             // Finalizes that are not answered
	finished bool            // the stream's end has come
}

// ending says how the connection is closed. Code 0: as soon as all results are out.
type ending struct {
	code    int
	reason  string
	problem *rtapv1.ListenError // told before the close
}

// subscribe begins to listen to what is said of the stream; do it before the client knows
// that it may send.
func (s *session) subscribe() (unsubscribe func()) {
	s.outcomes, s.slow = make(chan *nats.Msg, 256), make(chan struct{})
	var subs []*nats.Subscription
	for _, subject := range []string{bus.Vad(s.q.stream, "finalized"), bus.ResultsOf(s.q.stream)} {
		sub, err := s.rt.Bus.Conn().ChanSubscribe(subject, s.outcomes)
		if err != nil {
			s.log.Warn("a Finalize that comes to nothing will not be noticed", "error", err)
			continue
		}
		subs = append(subs, sub)
	}
	queue, cancel := s.hub.Subscribe(s.rt.Config.Egress.WebSocket.QueueMessages, func() { close(s.slow) })
	s.queue = queue
	return func() {
		cancel()
		for _, sub := range subs {
			_ = sub.Unsubscribe()
		}
	}
}

// run serves the client until it has everything or has gone, and all is stored.
func (s *session) run(ctx context.Context) {
	go s.up.run(ctx)
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	go s.receive(reading)

	e := s.serve()
	s.up.close()
	stopReading()
	if e.problem != nil {
		s.count(e.problem)
		s.send(e.problem)
	}
	s.conn.End(e.code, e.reason)
	<-s.up.done
	if s.up.err != nil {
		s.log.Error("not all that a client sent could be stored", "error", s.up.err)
		s.rt.Metrics.Errors.WithLabelValues("egress", "listen_not_stored").Inc()
	}
	s.log.Info("client has gone", "code", e.code, "reason", e.reason, "connected_seconds", time.Since(s.opened).Seconds(),
		"audio_seconds", s.up.format.Seconds(s.up.offset.Load()), "last_seq", s.seq)
}

// count lets what is on its way be stored, for a moment, before a problem says how much is:
// the client need not send that again.
func (s *session) count(problem *rtapv1.ListenError) {
	select {
	case <-s.up.done:
	case <-time.After(countWait):
	}
	problem.StoredSeconds = s.up.format.Seconds(s.up.offset.Load())
}

// serve writes what the client gets and returns how to close its connection.
func (s *session) serve() ending {
	if s.q.openingMetadata && !s.send(s.metadata(false)) {
		return ending{code: websocket.CodeGoingAway}
	}
	ping := time.NewTicker(s.rt.Config.Egress.WebSocket.PingInterval)
	defer ping.Stop()
	quiet := time.NewTimer(patience)
	defer quiet.Stop()
	over, done, closing := s.over, s.up.done, false
	for {
		ok := true
		select {
		case m := <-s.queue:
			if m.Stream != s.q.stream {
				continue
			}
			quiet.Reset(patience)
			ok = s.askAll() && s.give(m)
		case m := <-s.outcomes:
			s.notice(m)
			ok = s.askAll() && s.answer()
		case n := <-s.notices:
			ok = s.send(n)
		case stored := <-s.asks:
			ok = s.ask(stored)
		case e := <-over:
			s.up.close()
			if e.code != 0 {
				return e
			}
			over, closing = nil, true
			quiet.Reset(patience)
		case <-done:
			if s.up.err != nil {
				return s.failed(s.up.err)
			}
			done = nil
		case <-quiet.C:
			if closing {
				return s.problem(websocket.CodeInternal, netNoResult, "the stream's end was not transcribed in time; finals go on in its log")
			}
			quiet.Reset(patience)
		case <-s.slow:
			return ending{code: websocket.CodeTryAgain, reason: fmt.Sprintf("slow consumer: the finals from %d on are at /stream", s.seq+1)}
		case <-s.stop:
			return ending{code: websocket.CodeRestart, reason: "server stops"}
		case <-s.conn.Gone():
			select {
			case e := <-over: // the reader has said why it ended
				if e.code != 0 {
					return e
				}
			default:
			}
			return ending{code: websocket.CodeGoingAway}
		case <-ping.C:
			ok = s.conn.Ping() == nil
		}
		if !ok {
			return ending{code: websocket.CodeGoingAway}
		}
		if s.finished && closing && done == nil {
			if !s.send(s.metadata(true)) {
				return ending{code: websocket.CodeGoingAway}
			}
			return ending{code: websocket.CodeNormal}
		}
	}
}

// receive takes what the client sends until its part is over.
func (s *session) receive(ctx context.Context) {
	defer s.conn.Drain()
	cfg := s.rt.Config.Egress.ListenAPI
	for {
		binary, data, err := s.conn.Next(cfg.MaxMessageKB<<10, cfg.IdleTimeout)
		var e ending
		var more bool
		switch {
		case errors.Is(err, websocket.ErrIdle):
			e = s.problem(websocket.CodeInternal, netIdle, fmt.Sprintf("neither audio nor KeepAlive came for %v (egress.listen_api.idle_timeout)", cfg.IdleTimeout))
		case errors.Is(err, websocket.ErrTooBig):
			e = s.problem(websocket.CodeTooBig, badData, err.Error()+" (egress.listen_api.max_message_kb)")
			e.reason = e.problem.GetDescription()
		case err != nil:
			return // it has gone; run sees it
		case !binary:
			e, more = s.control(ctx, data)
		case len(data) == 0:
			e = ending{} // the old way to say CloseStream
		default:
			more = s.up.put(ctx, piece{data: data, at: clock.Now()}) == nil
		}
		if !more {
			s.over <- e
			return
		}
	}
}

// control does what a text message asks for. It returns true when more may come.
func (s *session) control(ctx context.Context, data []byte) (ending, bool) {
	var m struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		e := s.problem(websocket.CodeBadData, badData, "a text message must be JSON: {\"type\":\"KeepAlive\"}, Finalize or CloseStream")
		e.problem.Message = excerpt(data)
		return e, false
	}
	switch m.Type {
	case "KeepAlive":
	case "Finalize":
		return ending{}, s.up.put(ctx, piece{at: clock.Now(), control: rtapv1.IngestChunk_CONTROL_FINALIZE}) == nil
	case "CloseStream":
		return ending{}, false
	default:
		s.tell(s.trouble("Error", "SchemaError", fmt.Sprintf("message type %q is not known: want KeepAlive, Finalize or CloseStream", m.Type), excerpt(data)))
	}
	return ending{}, true
}

// tell passes a notice to the client; when there are already many it is dropped.
func (s *session) tell(n proto.Message) {
	select {
	case s.notices <- n:
	default:
	}
}

func (s *session) problem(code int, variant, description string) ending {
	return ending{code: code, reason: variant, problem: s.trouble("Error", variant, description, "")}
}

// failed explains why audio can no longer be stored.
func (s *session) failed(err error) ending {
	if errors.Is(err, errEnded) {
		return s.problem(websocket.CodeInternal, streamEnded, "the stream was ended by capture, which had heard nothing of this gateway, or its store was lost; connect again")
	}
	return s.problem(websocket.CodeTryAgain, notStored, err.Error())
}

// send writes a message to the client and says whether that worked.
func (s *session) send(m proto.Message) bool {
	data, err := wire.MarshalJSON(m)
	if err != nil {
		s.log.Error("a message cannot be encoded", "error", err)
		return true
	}
	return s.conn.Send(data) == nil
}
