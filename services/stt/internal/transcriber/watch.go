package transcriber

import (
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// watch tells the server that the job is in work. When it takes too long the job is given
// back and the process ends: an engine that hangs in C cannot be stopped otherwise.
func (w *Worker) watch(msg jetstream.Msg, job *rtapv1.FinalJob) (stop func()) {
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
				_ = msg.InProgress()
			case <-timeout.C:
				w.hang(msg, job)
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// hang ends this worker; `rtap up` or the container's restart policy makes a new one.
func (w *Worker) hang(msg jetstream.Msg, job *rtapv1.FinalJob) {
	w.rt.Log.Error("an inference hangs; ending this worker, the job goes to another", "stream_id", job.GetStreamId(),
		"segment_id", job.GetSegmentId(), "job_timeout", w.rt.Config.STT.JobTimeout)
	w.rt.Metrics.Errors.WithLabelValues("stt", "hang").Inc()
	w.rt.Emit("error", rtapv1.ServiceEvent_SEVERITY_ERROR, "an inference hangs; ending this worker", func(e *rtapv1.ServiceEvent) {
		e.StreamId = job.GetStreamId()
		e.Attributes = map[string]string{"segment_id": job.GetSegmentId(), "kind": "hang"}
	})
	_ = msg.Nak()
	_ = w.rt.Bus.Conn().FlushTimeout(2 * time.Second)
	os.Exit(exitHang)
}

// exitHang tells a hang from other ends in `rtap up`'s log.
const exitHang = 70
