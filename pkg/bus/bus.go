package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// Bus is one process's connection. Safe for concurrent use.
type Bus struct {
	cfg   *config.Config
	log   *slog.Logger
	conn  *nats.Conn
	js    jetstream.JetStream
	core  Core
	ready chan struct{}

	service   string // that puts its streams right; empty for all
	failures  atomic.Int64
	tellDrift func(Drift) // may be nil

	streams, buckets sync.Map // handles by name
	forbidden        sync.Map // subjects that the server did not let this user publish to

	mu          sync.Mutex
	reason      string
	reconnected chan struct{}
}

// Connect begins to connect and returns at once; [Bus.Await] tells when the bus can be
// used. The connection is named after the process and comes back by itself.
func Connect(cfg *config.Config, name string, log *slog.Logger) (*Bus, error) {
	b := &Bus{cfg: cfg, log: log, ready: make(chan struct{}), reconnected: make(chan struct{}), reason: "connecting to " + cfg.NATS.URL}
	opts := []nats.Option{
		nats.Name(name), nats.CustomInboxPrefix(cfg.NATS.InboxPrefix), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(cfg.NATS.ReconnectWait), nats.PingInterval(cfg.NATS.PingInterval), nats.MaxPingsOutstanding(2),
		// Stale audio must not flood in after an outage; every writer here retries by itself.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.setReason("not connected to " + cfg.NATS.URL)
			if err != nil {
				log.Warn("nats connection lost", "error", err)
			}
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			// The first failure and then one in about ten seconds.
			if n := b.failures.Add(1); n%50 == 1 {
				log.Warn("nats is not reachable, trying again", "url", cfg.NATS.URL, "attempt", n, "error", err)
			}
		}),
		nats.ConnectHandler(func(c *nats.Conn) { b.connected(c) }),
		nats.ReconnectHandler(func(c *nats.Conn) { b.connected(c) }),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			if what, ok := forbidden(err); ok {
				b.forbidden.Store(what, true)
			}
			log.Warn("nats reports an error", "subject", subject, "error", err)
		}),
	}
	access, err := access(cfg.NATS)
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	opts = append(opts, access...)
	conn, err := nats.Connect(cfg.NATS.URL, opts...)
	if err != nil {
		return nil, lifecycle.Usage(fmt.Errorf("nats.url %s: %w", cfg.NATS.URL, err))
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(5*time.Second))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("using jetstream: %w", err)
	}
	b.conn, b.js, b.core = conn, &watched{JetStream: js}, connCore{conn}
	return b, nil
}

// forbidden returns the subject that a server's refusal is about, if err is one to publish.
func forbidden(err error) (subject string, ok bool) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return "", false
	}
	_, quoted, ok := strings.Cut(err.Error(), "Publish to \"")
	subject, _, _ = strings.Cut(quoted, "\"")
	return subject, ok
}

func (b *Bus) connected(c *nats.Conn) {
	b.log.Info("nats connected", "url", c.ConnectedUrlRedacted(), "server", c.ConnectedServerName(), "version", c.ConnectedServerVersion())
	b.failures.Store(0)
	b.forbidden.Clear() // the server may have other lists now
	b.renew()
}

// renew tells who waits that the connection is there (again).
func (b *Bus) renew() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reason = ""
	close(b.reconnected)
	b.reconnected = make(chan struct{})
}

func (b *Bus) setReason(r string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reason = r
}

// Problem says why the bus cannot be used; empty when it can.
func (b *Bus) Problem() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reason != "" {
		return b.reason
	}
	select {
	case <-b.ready:
		return ""
	default:
		return "setting up streams"
	}
}

// Reconnected returns a channel that is closed at the next (re)connection; take a new
// one afterwards.
func (b *Bus) Reconnected() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reconnected
}

// Conn is the connection.
func (b *Bus) Conn() *nats.Conn { return b.conn }

// JS is JetStream on the connection.
func (b *Bus) JS() jetstream.JetStream { return b.js }

// Run connects, sets the streams up, retries with back-off, and sets them up again
// after every reconnection, since the server may have come back empty.
func (b *Bus) Run(ctx context.Context) error {
	first := true
	for {
		again := b.Reconnected()
		if b.conn.IsConnected() {
			if err := tooOld(b.conn, b.cfg.NATS); err != nil {
				return err
			}
			if !Retry(ctx, b.log, "setting up the bus", func() error { return b.setup(ctx) }) {
				return ctx.Err()
			}
			if first {
				close(b.ready)
				first = false
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
		}
	}
}

// setup is Setup that says in Problem why it fails.
func (b *Bus) setup(ctx context.Context) error {
	err := b.Setup(ctx)
	if b.conn.IsConnected() {
		reason := ""
		if err != nil {
			reason = err.Error()
		}
		b.setReason(reason)
	}
	return err
}

// Await returns when the bus is connected and set up.
func (b *Bus) Await(ctx context.Context) error {
	select {
	case <-b.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close sends what is buffered and ends the connection, at the latest when ctx is done.
func (b *Bus) Close(ctx context.Context) error {
	closed := make(chan struct{})
	b.conn.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := b.conn.Drain(); err != nil {
		b.conn.Close()
		if errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrConnectionReconnecting) {
			return nil
		}
		return fmt.Errorf("draining: %w", err)
	}
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		// A server that hangs, mostly. What is stored was acknowledged before; what is not gets lost as in any outage.
		b.conn.Close()
		b.log.Warn("the nats connection could not be drained in time, ending without that")
		return nil
	}
}

// Retry calls do until it succeeds or ctx ends, with growing pauses up to 2 s, and says
// whether it succeeded. What is logged is the first failure and then each tenth.
func Retry(ctx context.Context, log *slog.Logger, what string, do func() error) bool {
	wait := 50 * time.Millisecond
	for n := 0; ; n++ {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		if n%10 == 0 {
			log.Warn("retrying", "what", what, "attempt", n+1, "error", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
		wait = min(2*wait, 2*time.Second)
	}
}
