// Package app wires the gateway: sequencer, feeds and HTTP.
package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"

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
	streams := websocket.New(rt, hub, door)
	mux, err := routes(rt, hub, streams, overview)
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
	// Among the last to start and the first to stop: clients need all the others.
	clients := []func(context.Context) error{streams.Run}
	if cfg.ListenAPI.Enabled {
		remote := listen.New(rt, hub, door, overview.takesRemoteAudio)
		mux.Handle("GET /v1/listen", remote)
		clients = append(clients, remote.Run)
	}
	parts = append(parts, lifecycle.Part{Name: "clients", Run: together(clients)})
	// But a standby is waiting: nobody's farewell may delay it.
	parts = append(parts, lifecycle.Part{Name: "role", Run: turn.run})
	return rt.Run(ctx, "", "", parts...)
}

// routes is everything that is answered over HTTP, on both ports.
func routes(rt *service.Runtime, hub *feed.Hub, streams http.Handler, overview *overview) (*http.ServeMux, error) {
	mux := http.NewServeMux()
	obs.Register(mux, rt.Health, rt.Metrics)
	mux.HandleFunc("GET /health", overview.serve)
	mux.Handle("GET /stream", streams)
	web.Register(mux)
	return mux, httpapi.New(rt, hub, overview.live).Register(mux)
}

// together runs all until ctx is done and every one has returned.
func together(runs []func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		var wg sync.WaitGroup
		errs := make([]error, len(runs))
		for i, run := range runs {
			wg.Go(func() { errs[i] = run(ctx) })
		}
		wg.Wait()
		return errors.Join(errs...)
	}
}
