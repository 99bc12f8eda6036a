// Package app wires the gateway: sequencer, feeds and HTTP.
package app

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/httpapi"
	"github.com/rtap/rtap/services/egress/internal/journal"
	"github.com/rtap/rtap/services/egress/internal/listen"
	"github.com/rtap/rtap/services/egress/internal/web"
	"github.com/rtap/rtap/services/egress/internal/websocket"
	"github.com/rtap/rtap/services/egress/internal/zmq"
)

// Run is the gateway process.
func Run(ctx context.Context, env lifecycle.Env) error {
	rt, err := service.Start(env, nil)
	if err != nil {
		return err
	}
	cfg := rt.Config.Egress
	transcripts, err := zmq.Listen(cfg.Listen, cfg.ZMQ.TranscriptPort, cfg.ZMQ.HighWaterMark, "egress.zmq.transcript_port")
	if err != nil {
		return err
	}
	events, err := zmq.Listen(cfg.Listen, cfg.ZMQ.EventPort, cfg.ZMQ.HighWaterMark, "egress.zmq.event_port")
	if err != nil {
		return err
	}
	api, err := obs.Listen(ctx, net.JoinHostPort(cfg.Listen, strconv.Itoa(cfg.HTTPPort)), "egress.http_port")
	if err != nil {
		return err
	}
	ws, err := obs.Listen(ctx, net.JoinHostPort(cfg.Listen, strconv.Itoa(cfg.WebSocket.Port)), "egress.websocket.port")
	if err != nil {
		return err
	}
	rt.Health.SetAddress(api.Addr().String())
	hub := feed.NewHub(rt)
	diary := journal.New(rt, hub)
	overview := newOverview(rt, diary.Stages)
	door := websocket.NewDoor(rt)
	mux, err := routes(rt, hub, door, overview)
	if err != nil {
		return err
	}
	handler := access.Log(rt, mux)
	turn := newRole(rt, hub)
	rt.Answer(control.Failover, turn.failover)
	parts := []lifecycle.Part{
		service.HTTPPart("http", api, handler),
		service.HTTPPart("websocket", ws, handler),
		lifecycle.Part{Name: "overview", Run: overview.run},
		lifecycle.Part{Name: "journal", Run: diary.Run},
		lifecycle.Part{Name: "stores", Run: func(ctx context.Context) error { return watchStores(ctx, rt, hub) }},
		lifecycle.Part{Name: "zmq transcripts", Run: func(ctx context.Context) error { return publish(ctx, rt, hub, transcripts) }},
		lifecycle.Part{Name: "zmq events", Run: func(ctx context.Context) error { return publishEvents(ctx, rt, events) }},
		lifecycle.Part{Name: "feed", Run: hub.Run},
	}
	if cfg.ListenAPI.Enabled {
		clients := listen.New(rt, hub, door, overview.takesRemoteAudio)
		mux.Handle("GET /v1/listen", clients)
		// The last to start and the first to stop: its clients need all the others.
		parts = append(parts, lifecycle.Part{Name: "listen", Run: clients.Run})
	}
	// But a standby is waiting: nobody's farewell may delay it.
	parts = append(parts, lifecycle.Part{Name: "role", Run: turn.run})
	return rt.Run(ctx, "", "", parts...)
}

// routes is everything that is answered over HTTP, on both ports.
func routes(rt *service.Runtime, hub *feed.Hub, door *websocket.Door, overview *overview) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	obs.Register(mux, rt.Health, rt.Metrics)
	mux.HandleFunc("GET /health", overview.serve)
	mux.Handle("GET /stream", websocket.New(rt, hub, door))
	web.Register(mux)
	return mux, httpapi.New(rt, hub, overview.live).Register(mux)
}

// publish is the only goroutine that touches the transcript socket.
func publish(ctx context.Context, rt *service.Runtime, hub *feed.Hub, p *zmq.Publisher) error {
	defer func() { _ = p.Close() }()
	queue, cancel := hub.Subscribe(4096, func() { rt.Log.Error("the zmq feed cannot keep up") })
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-queue:
			topic := "transcript."
			if m.Started != nil {
				continue // events have a socket of their own
			}
			if !m.Final {
				if !rt.Config.Egress.ZMQ.Interims {
					continue
				}
				topic = "interim."
			}
			if err := p.Send(topic+m.Stream, m.Data, m.Seq); err != nil {
				rt.Metrics.Errors.WithLabelValues("egress", "zmq").Inc()
			}
		}
	}
}

// publishEvents passes service and VAD events on: topics event.<…> as on the bus.
func publishEvents(ctx context.Context, rt *service.Runtime, p *zmq.Publisher) error {
	defer func() { _ = p.Close() }()
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
