// Package websocket serves /stream, transcripts as JSON text messages, and holds what other
// WebSocket handlers share with it: who may come in, and connections.
package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// Handler upgrades requests and serves each client from a queue of its own.
type Handler struct {
	rt   *service.Runtime
	hub  *feed.Hub
	door *Door

	mu       sync.Mutex
	clients  int
	stopping bool
	serving  sync.WaitGroup
	stop     chan struct{}
}

// New serves what hub hands out to whom door lets in.
func New(rt *service.Runtime, hub *feed.Hub, door *Door) *Handler {
	return &Handler{rt: rt, hub: hub, door: door, stop: make(chan struct{})}
}

// Run waits for the server's stop; then every client is told where to resume.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	close(h.stop)
	h.serving.Wait()
	return ctx.Err()
}

// enter counts a client, or says why there is no room for it.
func (h *Handler) enter() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.rt.Config.Egress.WebSocket.MaxClients
	switch {
	case h.stopping:
		return errors.New("the gateway stops")
	case h.clients >= limit:
		return fmt.Errorf("%d clients are being served, as many as may be (egress.websocket.max_clients)", limit)
	}
	h.clients++
	h.serving.Add(1)
	return nil
}

func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients--
	h.serving.Done()
}

// query is what a client asks for.
type query struct {
	streams  []string
	interims bool
	events   bool
	fromSeq  uint32
	replay   bool
	logID    string
}

func parse(v url.Values) (q query, err error) {
	for name := range v {
		value := v.Get(name)
		switch name {
		case "streams":
			for id := range strings.SplitSeq(value, ",") {
				if err := bus.ValidateStreamID(id); err != nil {
					return q, err
				}
				q.streams = append(q.streams, id)
			}
		case "interim_results":
			if q.interims, err = strconv.ParseBool(value); err != nil {
				return q, fmt.Errorf("interim_results=%q: want true or false", value)
			}
		case "vad_events":
			if q.events, err = strconv.ParseBool(value); err != nil {
				return q, fmt.Errorf("vad_events=%q: want true or false", value)
			}
		case "from_seq":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return q, fmt.Errorf("from_seq=%q: want a number", value)
			}
			q.fromSeq, q.replay = uint32(n), true
		case "log_id":
			q.logID = value
		}
	}
	if q.replay && len(q.streams) != 1 {
		return q, fmt.Errorf("from_seq needs streams= with exactly one stream: numbers count per stream")
	}
	return q, nil
}

// wants says whether a message is for the client. A marker carries the number of the final
// that it follows.
func (q query) wants(m feed.Message) bool {
	if len(q.streams) > 0 && !slices.Contains(q.streams, m.Stream) {
		return false
	}
	switch {
	case m.Started != nil:
		return q.events
	case !m.Final:
		return q.interims
	case m.Results == nil:
		return m.Seq+1 >= q.fromSeq
	}
	return m.Seq >= q.fromSeq
}

// ServeHTTP serves one client until it goes.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(code int, why string) { access.Problem(w, code, why) }
	switch err := h.door.Admit(r); {
	case errors.Is(err, ErrToken):
		access.AskForToken(w)
		return
	case err != nil:
		refuse(http.StatusForbidden, err.Error())
		return
	}
	q, err := parse(r.URL.Query())
	if err != nil {
		refuse(http.StatusBadRequest, err.Error())
		return
	}
	if q.logID != "" {
		if have, err := h.rt.Bus.LogID(r.Context()); err == nil && have != q.logID {
			refuse(http.StatusConflict, "log_id="+q.logID+" is another log; this one is "+have+": start again without from_seq")
			return
		}
	}
	// Who only listens is served even while NATS is away; a replay needs the log at once.
	if why := h.rt.Bus.Problem(); q.replay && why != "" {
		refuse(http.StatusServiceUnavailable, "the transcript log cannot be read now: "+why+"; try again")
		return
	}
	if err := h.enter(); err != nil {
		w.Header().Set("Retry-After", "1")
		refuse(http.StatusServiceUnavailable, err.Error())
		return
	}
	defer h.leave()
	conn, err := h.door.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &client{conn: conn, hub: h.hub, q: q, remote: r.RemoteAddr, replaying: q.replay, last: map[string]uint32{}}
	h.close(c, c.serve(context.WithoutCancel(r.Context()), h.rt.Config.Egress.WebSocket, h.stop))
}

// close ends the connection. Who cannot be told why is at least found in the log and among
// the events.
func (h *Handler) close(c *client, e ending) {
	h.rt.Metrics.ClientsClosed.WithLabelValues(e.why).Inc()
	if e.why == obs.ClosedSlow || e.why == obs.ClosedStuck {
		h.rt.Log.Warn("a slow client is closed", "remote", c.remote, "reason", e.why, "resume", c.place())
		h.rt.Emit("client", rtapv1.ServiceEvent_SEVERITY_WARNING, "a slow client is closed", func(ev *rtapv1.ServiceEvent) {
			ev.Attributes = map[string]string{"remote": c.remote, "reason": e.why, "resume": c.place()}
		})
	}
	c.conn.End(e.code, e.reason)
}
