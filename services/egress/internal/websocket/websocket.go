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
	"sync/atomic"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// Handler upgrades requests and serves each client from a queue of its own.
type Handler struct {
	rt   *service.Runtime
	hub  *feed.Hub
	door *Door
}

// New serves what hub hands out to whom door lets in.
func New(rt *service.Runtime, hub *feed.Hub, door *Door) *Handler {
	return &Handler{rt: rt, hub: hub, door: door}
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
	conn, err := h.door.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	h.serve(context.WithoutCancel(r.Context()), conn, q)
}

func (h *Handler) serve(ctx context.Context, conn *Conn, q query) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cfg := h.rt.Config.Egress.WebSocket
	var slow atomic.Bool
	queue, unsubscribe := h.hub.Subscribe(cfg.QueueMessages, func() { slow.Store(true); cancel() })
	defer unsubscribe()
	go func() { conn.Watch(cfg.PingInterval); cancel() }()
	c := &client{conn: conn, q: q}
	code, reason := CodeGoingAway, "server stops"
	if err := c.pump(ctx, h.hub, queue, cfg.PingInterval); err != nil {
		code, reason = CodeInternal, err.Error()
	}
	if slow.Load() {
		code, reason = CodeTryAgain, fmt.Sprintf("slow consumer: resume with from_seq=%d", c.lastSeq+1)
	}
	conn.End(code, reason)
}

type client struct {
	conn    *Conn
	q       query
	lastSeq uint32
	sent    uint64 // sequence in the log up to which the replay has given everything
}

func (c *client) pump(ctx context.Context, hub *feed.Hub, queue <-chan feed.Message, ping time.Duration) error {
	if c.q.replay {
		var err error
		if c.sent, err = hub.Replay(ctx, c.q.streams[0], c.q.fromSeq, c.write); err != nil {
			return err
		}
	}
	tick := time.NewTicker(ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := c.conn.Ping(); err != nil {
				return nil //nolint:nilerr // the client has gone; there is nobody to tell
			}
		case m := <-queue:
			if !c.wants(m) {
				continue
			}
			if err := c.write(m); err != nil {
				return nil //nolint:nilerr // the client has gone; there is nobody to tell
			}
		}
	}
}

func (c *client) wants(m feed.Message) bool {
	if len(c.q.streams) > 0 && !slices.Contains(c.q.streams, m.Stream) {
		return false
	}
	switch {
	case m.Started != nil:
		return c.q.events
	case !m.Final:
		return c.q.interims
	}
	return m.Sequence > c.sent
}

func (c *client) write(m feed.Message) error {
	if err := c.conn.Send(m.Data); err != nil {
		return err
	}
	if m.Final {
		c.lastSeq = m.Seq
	}
	return nil
}
