package transcriber

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/service"
)

// Runtime is what the worker runs in.
func (w *Worker) Runtime() *service.Runtime { return w.rt }

// Crowd has it that finals wait for one another.
func (l *Load) Crowd() { l.took(time.Millisecond, time.Second, 1) }

// Idle is what decides whether an error says only that there is no work.
var Idle = idle

// Redeliver has the open jobs delivered again.
var Redeliver = redeliver

// SetBack looks at a server's clock.
func SetBack() func(server, local time.Time) time.Duration { return (&serverClock{}).setBack }

// Ahead looks at the oldest job.
func Ahead(patience time.Duration) func(state jetstream.StreamState, server, local time.Time) time.Duration {
	return (&stuckJob{patience: patience}).ahead
}
