package transcriber

import "github.com/rtap/rtap/pkg/service"

// Runtime is what the worker runs in.
func (w *Worker) Runtime() *service.Runtime { return w.rt }

// Idle is what decides whether an error says only that there is no work.
var Idle = idle

// What has jobs delivered again.
var (
	OldestJob = oldestJob
	Redeliver = redeliver
)
