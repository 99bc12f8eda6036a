package bus

import (
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/config"
)

// Core is what a bus needs of a connection beside JetStream: messages that nobody stores.
type Core interface {
	PublishMsg(m *nats.Msg) error
	// Subscribe calls take with what comes, one at a time, until stop is called.
	Subscribe(subject string, take func(*nats.Msg)) (stop func(), err error)
}

// connCore is Core on a connection to a server.
type connCore struct{ *nats.Conn }

func (c connCore) Subscribe(subject string, take func(*nats.Msg)) (stop func(), err error) {
	sub, err := c.Conn.Subscribe(subject, take)
	if err != nil {
		return nil, fmt.Errorf("subscribing to %s: %w", subject, err)
	}
	return func() { _ = sub.Unsubscribe() }, nil
}

// Subscribe calls take with what is published on a subject from now on, one message at a
// time, until stop is called. Nothing is stored for who was away.
func (b *Bus) Subscribe(subject string, take func(*nats.Msg)) (stop func(), err error) {
	return b.core.Subscribe(subject, take)
}

// Over makes a bus that is ready at once over something else than a server's connection:
// the simulation of the pipeline runs the real bus over a fake of both. Call reconnected
// whenever the connection has come back. Conn is nil.
func Over(cfg *config.Config, log *slog.Logger, js jetstream.JetStream, core Core) (b *Bus, reconnected func()) {
	b = &Bus{cfg: cfg, log: log, js: &watched{JetStream: js}, core: core, ready: make(chan struct{}), reconnected: make(chan struct{})}
	close(b.ready)
	return b, b.renew
}
