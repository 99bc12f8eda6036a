// Package websocket serves /stream: transcripts as JSON text messages.
package websocket

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// Handler upgrades requests and serves each client from a queue of its own.
type Handler struct {
	rt   *service.Runtime
	hub  *feed.Hub
	gate *access.Gate
	up   websocket.Upgrader
}

// New serves what hub hands out.
func New(rt *service.Runtime, hub *feed.Hub) *Handler {
	h := &Handler{rt: rt, hub: hub, gate: access.NewGate(rt.Config.Egress)}
	h.up.CheckOrigin = h.gate.Origin
	return h
}

// query is what a client asks for.
type query struct {
	streams  []string
	interims bool
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
	if !h.gate.Origin(r) {
		refuse(http.StatusForbidden, "pages of "+r.Header.Get("Origin")+" are not let in (egress.websocket.allowed_origins)")
		return
	}
	if !h.gate.Token(r) {
		access.Unauthorized(w)
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
	lenientKey(r)
	conn, err := h.up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	h.serve(context.WithoutCancel(r.Context()), conn, q)
}

// lenientKey lets clients in whose key is not 16 bytes long, as in many curl examples.
// The key is only echoed back as a hash; gorilla insists on its length, so a valid one
// takes its place. Such clients do not check the hash.
func lenientKey(r *http.Request) {
	raw, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	if err == nil && len(raw) > 0 && len(raw) != 16 {
		r.Header.Set("Sec-WebSocket-Key", base64.StdEncoding.EncodeToString(append(raw, make([]byte, 16)...)[:16]))
	}
}

func (h *Handler) serve(ctx context.Context, conn *websocket.Conn, q query) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { _ = conn.Close() }()
	cfg := h.rt.Config.Egress.WebSocket
	var slow atomic.Bool
	queue, unsubscribe := h.hub.Subscribe(cfg.QueueMessages, func() { slow.Store(true); cancel() })
	defer unsubscribe()
	go read(conn, cfg.PingInterval, cancel)
	c := &client{conn: conn, timeout: cfg.WriteTimeout, q: q}
	code, reason := websocket.CloseGoingAway, "server stops"
	if err := c.pump(ctx, h.hub, queue, cfg.PingInterval); err != nil {
		code, reason = websocket.CloseInternalServerErr, err.Error()
	}
	if slow.Load() {
		code, reason = websocket.CloseTryAgainLater, fmt.Sprintf("slow consumer: resume with from_seq=%d", c.lastSeq+1)
	}
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason[:min(len(reason), 120)]), time.Now().Add(time.Second))
}

// read drops what clients send and notices when they go.
func read(conn *websocket.Conn, ping time.Duration, gone func()) {
	defer gone()
	conn.SetReadLimit(64 << 10)
	extend := func(string) error { return conn.SetReadDeadline(time.Now().Add(3 * ping)) }
	_ = extend("")
	conn.SetPongHandler(extend)
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

type client struct {
	conn    *websocket.Conn
	timeout time.Duration
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
			if err := c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.timeout)); err != nil {
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
	if !m.Final {
		return c.q.interims
	}
	return m.Sequence > c.sent
}

func (c *client) write(m feed.Message) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	if err := c.conn.WriteMessage(websocket.TextMessage, m.Data); err != nil {
		return err
	}
	if m.Final {
		c.lastSeq = m.Seq
	}
	return nil
}
