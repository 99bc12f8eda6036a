package ingest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// discoverEvery bounds how long a new client waits when its event was not heard.
const discoverEvery = 500 * time.Millisecond

// Attribute of capture's status: audio of remote clients is taken.
const Attribute = "listen"

// Listener makes a stream of each remote client whose audio waits in RTAP_INGEST. Several
// processes share the clients: each stream is worked on by the holder of its lease.
type Listener struct {
	rt *service.Runtime

	mu      sync.Mutex
	streams map[string]bool // true while this process holds the lease
}

// NewListener takes nothing yet.
func NewListener(rt *service.Runtime) *Listener {
	return &Listener{rt: rt, streams: map[string]bool{}}
}

// Run works until ctx is done; then the streams are another process's to go on with.
// changed is told which streams are worked on.
func (l *Listener) Run(ctx context.Context, changed func(streams []string)) error {
	l.rt.Health.SetAttribute(Attribute, "true")
	wake := make(chan struct{}, 1)
	sub, err := l.rt.Bus.Conn().Subscribe(bus.Event("egress", "listen"), func(*nats.Msg) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		ids, err := l.rt.Bus.IngestStreams(ctx)
		if err != nil && ctx.Err() == nil {
			l.rt.Log.Debug("listing remote clients failed", "error", err)
		}
		for _, id := range ids {
			if l.known(id) {
				continue
			}
			wg.Go(func() {
				defer func() { l.forget(id); changed(l.held()) }()
				l.follow(ctx, id, changed)
			})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		case <-time.After(discoverEvery):
		}
	}
}

func (l *Listener) known(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.streams[id]; ok {
		return true
	}
	l.streams[id] = false
	return false
}

func (l *Listener) forget(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, id)
}

func (l *Listener) held() (ids []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, held := range l.streams {
		if held {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// follow works on a stream, when it is this process's turn, until it has ended.
func (l *Listener) follow(ctx context.Context, id string, changed func([]string)) {
	err := l.rt.Lease(lease.Capture(id)).Do(ctx, func(ctx context.Context, _ lease.Token) error {
		l.mu.Lock()
		l.streams[id] = true
		l.mu.Unlock()
		changed(l.held())
		f := newFollower(l.rt, id)
		defer f.close()
		return f.run(ctx)
	})
	if err != nil && ctx.Err() == nil && !errors.Is(err, errTaken) && !errors.Is(err, lease.ErrLost) {
		l.rt.Log.Warn("taking a remote client's audio failed", "stream_id", id, "error", err)
		l.rt.Metrics.Errors.WithLabelValues("capture", "listen").Inc()
	}
}

func announce(rt *service.Runtime, id, message string) {
	rt.Emit("source", rtapv1.ServiceEvent_SEVERITY_INFO, message, func(e *rtapv1.ServiceEvent) { e.StreamId = id })
}
