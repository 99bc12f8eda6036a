package transcriber

import (
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// hands are the jobs that a process has in hand: when one hangs, the others are given back
// with it. Safe for concurrent use.
type hands struct {
	mu   sync.Mutex
	jobs map[jetstream.Msg]bool
}

func (h *hands) take(msg jetstream.Msg) (drop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs == nil {
		h.jobs = map[jetstream.Msg]bool{}
	}
	h.jobs[msg] = true
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.jobs, msg)
	}
}

// giveBack tells the server to deliver the jobs again, when this process is gone.
func (h *hands) giveBack() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for msg := range h.jobs {
		_ = msg.NakWithDelay(afterExit)
	}
}

// afterExit is when a job may come again: another worker of the process that ends must not
// take it.
const afterExit = 500 * time.Millisecond

// watch tells the server that the job is in work, until it has been for too long.
func (w *Worker) watch(msg jetstream.Msg, stream, segment string) (stop func()) {
	drop := w.Load.hands.take(msg)
	unbound := w.bound(stream, segment, func() { _ = msg.InProgress() })
	return func() { unbound(); drop() }
}

// bound ends the process when what follows takes too long: an engine that hangs in C cannot
// be stopped otherwise. Meanwhile alive, which may be nil, is called now and then.
func (w *Worker) bound(stream, segment string, alive func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(w.rt.Config.STT.AckWait / 3)
		defer tick.Stop()
		timeout := time.NewTimer(w.rt.Config.STT.JobTimeout)
		defer timeout.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if alive != nil {
					alive()
				}
			case <-timeout.C:
				w.hang(stream, segment)
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// hang ends this worker; `rtap up` or the container's restart policy makes a new one.
func (w *Worker) hang(stream, segment string) {
	w.rt.Log.Error("an inference hangs; ending this worker, its jobs go to another", "stream_id", stream,
		"segment_id", segment, "job_timeout", w.rt.Config.STT.JobTimeout)
	w.rt.Metrics.Errors.WithLabelValues("stt", "hang").Inc()
	w.rt.Emit("error", rtapv1.ServiceEvent_SEVERITY_ERROR, "an inference hangs; ending this worker", func(e *rtapv1.ServiceEvent) {
		e.StreamId = stream
		e.Attributes = map[string]string{"segment_id": segment, "kind": "hang"}
	})
	w.Load.hands.giveBack()
	_ = w.rt.Bus.Conn().FlushTimeout(2 * time.Second)
	os.Exit(exitHang)
}

// exitHang tells a hang from other ends in `rtap up`'s log.
const exitHang = 70
