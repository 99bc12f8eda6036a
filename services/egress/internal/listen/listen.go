// Package listen serves /v1/listen: a client sends audio over a WebSocket and gets the
// transcripts of it back, in the messages that Deepgram's clients know.
package listen

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/websocket"
	"google.golang.org/protobuf/proto"
)

const (
	// handOver is how long a client waits for a stream id whose last client has just gone.
	handOver = 5 * time.Second
	// liveFor is how young a stream's newest frame is while a device or file makes it.
	liveFor = 5 * time.Second
	// notices is how many may wait for the client.
	notices = 16
)

// Handler makes a stream of each client's audio.
type Handler struct {
	rt    *service.Runtime
	hub   *feed.Hub
	door  *websocket.Door
	taken func(context.Context) bool

	mu       sync.Mutex
	clients  int
	sessions sync.WaitGroup
	stopping bool
	stop     chan struct{}
}

// New serves whom door lets in with what hub hands out. taken says whether a capture process
// takes the audio of remote clients.
func New(rt *service.Runtime, hub *feed.Hub, door *websocket.Door, taken func(context.Context) bool) *Handler {
	return &Handler{rt: rt, hub: hub, door: door, taken: taken, stop: make(chan struct{})}
}

// Run waits for the server's stop; then every client is told, what it sent is stored, and its
// stream ended.
func (h *Handler) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopping = true
	h.mu.Unlock()
	close(h.stop)
	h.sessions.Wait()
	return ctx.Err()
}

// refusal is why a request is not served.
type refusal struct {
	code int
	err  error
}

func (r *refusal) Error() string { return r.err.Error() }

func refuse(code int, format string, args ...any) *refusal {
	return &refusal{code, fmt.Errorf(format, args...)}
}

// ServeHTTP serves one client until it has its transcripts or has gone.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	w.Header().Set("dg-request-id", id)
	s, err := h.admit(r, id)
	if err != nil {
		w.Header().Set("dg-error", strings.ReplaceAll(err.Error(), "\n", "; "))
		obs.WriteJSON(w, err.code, map[string]string{"err_code": http.StatusText(err.code), "err_msg": err.Error(), "request_id": id})
		return
	}
	defer h.leave()
	header := http.Header{"dg-request-id": {id}, "Rtap-Stream-Id": {s.q.stream}}
	if len(s.q.warnings) > 0 {
		var all []string
		for _, w := range s.q.warnings {
			all = append(all, w.GetMessage())
		}
		header.Set("Rtap-Warning", strings.Join(all, "; "))
	}
	ctx := context.WithoutCancel(r.Context())
	defer s.subscribe()()
	conn, upgradeErr := h.door.Upgrade(w, r, header)
	if upgradeErr != nil {
		s.log.Info("client has gone before it was served", "error", upgradeErr)
		s.up.close()
		s.up.run(ctx)
		return
	}
	s.conn = conn
	s.log.Info("client has come", "remote", r.RemoteAddr, "user_agent", r.UserAgent(), "rate_hz", s.up.format.SampleRateHz,
		"channels", s.up.format.Channels, "warnings", len(s.q.warnings))
	h.event(s, "a client has come", r.RemoteAddr)
	s.run(ctx)
	h.event(s, "a client has gone", r.RemoteAddr)
}

// admit checks a request and claims its stream. What it returns must be left.
func (h *Handler) admit(r *http.Request, id string) (*session, *refusal) {
	switch err := h.door.Admit(r); {
	case errors.Is(err, websocket.ErrToken):
		return nil, refuse(http.StatusUnauthorized, "%w", err)
	case err != nil:
		return nil, refuse(http.StatusForbidden, "%w", err)
	}
	q, err := parse(r.URL.Query(), h.rt.Config)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "%w", err)
	}
	if !websocket.IsUpgrade(r) {
		return nil, refuse(http.StatusUpgradeRequired, "this is a WebSocket endpoint for live audio: connect with ws://")
	}
	if q.stream == "" {
		q.stream = "listen-" + random(4)
	}
	if refused := h.enter(); refused != nil {
		return nil, refused
	}
	s, refused := h.claim(r.Context(), id, q)
	if refused != nil {
		h.leave()
	}
	return s, refused
}

// enter counts a client.
func (h *Handler) enter() *refusal {
	h.mu.Lock()
	defer h.mu.Unlock()
	limit := h.rt.Config.Egress.ListenAPI.MaxStreams
	switch {
	case h.stopping:
		return refuse(http.StatusServiceUnavailable, "the gateway stops")
	case h.clients >= limit:
		return refuse(http.StatusTooManyRequests, "%d clients are being served, as many as may be (egress.listen_api.max_streams)", limit)
	}
	h.clients++
	h.sessions.Add(1)
	h.rt.Metrics.QueueDepth.WithLabelValues("listen_clients").Set(float64(h.clients))
	return nil
}

func (h *Handler) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients--
	h.sessions.Done()
	h.rt.Metrics.QueueDepth.WithLabelValues("listen_clients").Set(float64(h.clients))
}

// claim makes the stream this client's, or says why it cannot be.
func (h *Handler) claim(ctx context.Context, id string, q query) (*session, *refusal) {
	if problem := h.rt.Bus.Problem(); problem != "" {
		return nil, refuse(http.StatusServiceUnavailable, "audio cannot be stored: %s", problem)
	}
	if !h.taken(ctx) {
		return nil, refuse(http.StatusServiceUnavailable, "no capture process takes the audio of remote clients: start one with --source listen (audio.sources)")
	}
	if err := h.free(ctx, q.stream); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(handOver); ; {
		s, err := h.open(ctx, id, q)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, bus.ErrConflict) {
			h.rt.Log.Warn("a client's stream cannot be opened", "stream_id", q.stream, "error", err)
			return nil, refuse(http.StatusServiceUnavailable, "audio cannot be stored: %w", err)
		}
		last, _, err := h.rt.Bus.LastIngest(ctx, q.stream)
		if err == nil && last != nil && last.GetControl() != rtapv1.IngestChunk_CONTROL_CLOSE_STREAM {
			return nil, refuse(http.StatusConflict, "stream %s is another client's: choose another stream=, or leave it out", q.stream)
		}
		if time.Now().After(deadline) {
			return nil, refuse(http.StatusConflict, "the last client's audio on stream %s is still being transcribed: choose another stream=, or try again", q.stream)
		}
		select {
		case <-ctx.Done():
			return nil, refuse(http.StatusServiceUnavailable, "%w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// free refuses the id of a stream that a device or a file makes.
func (h *Handler) free(ctx context.Context, stream string) *refusal {
	age, source, err := h.rt.Bus.LastFrameAge(ctx, stream)
	if err != nil {
		return refuse(http.StatusServiceUnavailable, "looking for stream %s: %w", stream, err)
	}
	if source != "" && source != "listen" && age < liveFor {
		return refuse(http.StatusConflict, "stream %s is made by %s: choose another stream=, or leave it out", stream, source)
	}
	return nil
}

// open begins a session on the bus.
func (h *Handler) open(ctx context.Context, id string, q query) (*session, error) {
	cfg := h.rt.Config.Egress.ListenAPI
	s := &session{
		rt: h.rt, log: h.rt.Log.With("stream_id", q.stream, "request_id", id), hub: h.hub, id: id, q: q, opened: time.Now(),
		timeline: newTimeline(q.format), notices: make(chan proto.Message, notices), asks: make(chan bool, notices), over: make(chan ending, 1), stop: h.stop,
		settled: map[uint64]bool{},
	}
	s.up = &uplink{
		bus: h.rt.Bus, log: s.log, format: q.format, timeline: s.timeline, beat: cfg.IdleTimeout / beats, storeTimeout: cfg.StoreTimeout,
		chunk: &rtapv1.IngestChunk{
			StreamId: q.stream, Session: id, Encoding: encoding, SampleRateHz: uint32(q.format.SampleRateHz), Channels: uint32(q.format.Channels),
		},
		warn:   func(variant, description string) { s.tell(s.trouble("Warning", variant, description, "")) },
		stored: h.rt.Metrics.FramesProcessed.WithLabelValues("listen").Inc,
		asked: func(stored bool) {
			select {
			case s.asks <- stored:
			default: // far more than anybody waits for
			}
		},
	}
	if err := s.up.open(ctx); err != nil {
		return nil, err
	}
	// From here on the stream is this client's, and as it has sent nothing, all that is known
	// of it is others'.
	if err := s.look(ctx); err != nil {
		s.up.close()
		go s.up.run(context.WithoutCancel(ctx))
		return nil, err
	}
	return s, nil
}

// look notes what there is already of the stream.
func (s *session) look(ctx context.Context) (err error) {
	if s.epoch, err = s.rt.Bus.KnownEpoch(ctx, s.q.stream); err != nil {
		return err
	}
	if s.through, err = s.rt.Bus.HighestOrdinal(ctx, s.q.stream); err != nil {
		return err
	}
	cp, _, err := s.rt.Bus.LoadCheckpoint(ctx, s.q.stream)
	if err != nil {
		return err
	}
	s.through = max(s.through, cp.GetOrdinal())
	s.logID, err = s.rt.Bus.LogID(ctx)
	return err
}

// event tells capture, and whoever keeps an audit, of a client.
func (h *Handler) event(s *session, message, remote string) {
	h.rt.Emit("listen", rtapv1.ServiceEvent_SEVERITY_INFO, message, func(e *rtapv1.ServiceEvent) {
		e.StreamId = s.q.stream
		e.Attributes = map[string]string{"request_id": s.id, "remote": remote}
	})
}

// requestID is a UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func random(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}
