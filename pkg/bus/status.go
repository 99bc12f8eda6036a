package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Statuses asks every process how it is and returns what has been answered after wait;
// how many there are nobody knows.
func (b *Bus) Statuses(ctx context.Context, wait time.Duration) ([]*rtapv1.ServiceStatus, error) {
	return AskStatuses(ctx, b.conn, wait)
}

// AskStatuses is [Bus.Statuses] for who has only a connection.
func AskStatuses(ctx context.Context, conn *nats.Conn, wait time.Duration) ([]*rtapv1.ServiceStatus, error) {
	inbox := conn.NewRespInbox()
	answers := make(chan *nats.Msg, 128)
	sub, err := conn.ChanSubscribe(inbox, answers)
	if err != nil {
		return nil, fmt.Errorf("asking for statuses: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := conn.PublishRequest(ControlStatus, inbox, nil); err != nil {
		return nil, fmt.Errorf("asking for statuses: %w", err)
	}
	var seen []*rtapv1.ServiceStatus
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		select {
		case m := <-answers:
			s := &rtapv1.ServiceStatus{}
			if wire.UnmarshalJSON(m.Data, s) == nil && s.GetService() != "" {
				seen = append(seen, s)
			}
		case <-timeout.C:
			return seen, nil
		case <-ctx.Done():
			return seen, ctx.Err()
		}
	}
}
