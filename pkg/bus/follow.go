package bus

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// followBuffer is how many messages wait for a slow take before the client holds back.
const followBuffer = 256

// Follow hands a stream's messages to take, one at a time and in order, until take fails
// (its error is returned), ctx is done, or again is closed (nil). Take again from
// [Bus.Reconnected] before reading any state that must belong to the same connection.
func (b *Bus) Follow(ctx context.Context, again <-chan struct{}, stream string, cfg jetstream.OrderedConsumerConfig, take func(jetstream.Msg) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := b.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	msgs := make(chan jetstream.Msg, followBuffer)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		select {
		case msgs <- m:
		case <-ctx.Done():
		}
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", stream, err)
	}
	defer func() { cancel(); consuming.Stop(); <-consuming.Closed() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
			return nil
		case m := <-msgs:
			if err := take(m); err != nil {
				return err
			}
		}
	}
}
