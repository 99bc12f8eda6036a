package transcriber

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
)

// Worker takes jobs for one engine. Finals go first, then drafts of what will be final in a
// moment, then interims, which are ended when anything else wants the engine.
type Worker struct {
	// Interims is set before Run: the worker takes preliminary work as well.
	Interims bool
	// Load may be set before Run, to share it with other workers of the process.
	Load *Load
	// Breaker may be set before Run, for the same reason.
	Breaker *Breaker

	rt     *service.Runtime
	turns  *turns
	known  *known
	engine Engine // of who has the turn, as is opts; nil while the worker rests
	opts   Options
}

// New makes a worker; opts go with every job.
func New(rt *service.Runtime, e Engine, opts Options) *Worker {
	return &Worker{Interims: true, Load: &Load{}, Breaker: NewBreaker(rt, e.Info().Engine), rt: rt, turns: newTurns(), known: &known{}, engine: e, opts: opts}
}

// Swap puts another engine in place when the job in hand is done, and returns the one
// that it replaces, for the caller to close. Without an engine the worker rests: it takes no
// work until it gets one.
func (w *Worker) Swap(e Engine, opts Options) Engine {
	w.turns.take(classFinal)
	defer w.turns.give()
	old := w.engine
	w.engine, w.opts = e, opts
	w.turns.rest(e == nil)
	return old
}

// intake is where one kind of work comes from.
type intake struct {
	stream, durable, subject string
	class                    class
	handle                   func(context.Context, jetstream.Msg)
}

// Run works until ctx is done; the jobs in hand are finished first.
func (w *Worker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			select {
			case <-w.rt.Bus.Reconnected():
				w.known.forget()
			case <-ctx.Done():
			}
		}
	})
	for _, in := range []intake{
		{bus.StreamJobs, finalDurable, bus.AllFinalJob, classFinal, w.final},
		{bus.StreamJobs, readyDurable, bus.AllReady, classes, w.ready},
		{bus.StreamDrafts, "stt-speculative", bus.AllSpeculative, classSpeculative, w.speculative},
		{bus.StreamDrafts, "stt-draft", bus.AllDrafts, classInterim, w.interim},
	} {
		if in.class == classInterim && !w.Interims {
			continue
		}
		wg.Go(func() { w.loop(ctx, in) })
	}
	wg.Wait()
	return ctx.Err()
}

const (
	// heartbeat of a request for work that waits. A request that reaches the server as a consumer is removed
	// has no answer at all: two heartbeats later the consumer is made anew.
	heartbeat = 5 * time.Second
	// removal is how long the server may take to remove a consumer after it has said so.
	removal = 200 * time.Millisecond
)

// loop fetches one message at a time and only when it can be worked on, so that workers
// share the load.
func (w *Worker) loop(ctx context.Context, in intake) {
	for ctx.Err() == nil {
		c, err := w.rt.Bus.JS().CreateOrUpdateConsumer(ctx, in.stream, jetstream.ConsumerConfig{
			Durable: in.durable, FilterSubject: in.subject, AckPolicy: jetstream.AckExplicitPolicy,
			AckWait: w.rt.Config.STT.AckWait, MaxDeliver: -1, MaxAckPending: -1,
		})
		if err == nil {
			err = w.fetch(ctx, c, in)
		}
		if err != nil && ctx.Err() == nil {
			w.rt.Log.Warn("taking jobs failed", "consumer", in.durable, "error", err)
			w.rt.Metrics.Errors.WithLabelValues("stt", "fetch").Inc()
			pause(ctx, 500*time.Millisecond)
		}
	}
}

func (w *Worker) fetch(ctx context.Context, c jetstream.Consumer, in intake) error {
	for ctx.Err() == nil {
		if in.class < classes && !w.turns.open(in.class) {
			pause(ctx, 2*time.Millisecond)
			continue
		}
		release, ok := func() {}, true
		if in.class < classes {
			release, ok = w.Breaker.admit(in.class)
		}
		if !ok {
			pause(ctx, probePause)
			continue
		}
		msg, err := c.Next(jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(heartbeat))
		if err != nil {
			release()
		}
		switch {
		case errors.Is(err, jetstream.ErrMsgIteratorClosed), errors.Is(err, context.Canceled):
			return nil
		case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrNoHeartbeat):
			pause(ctx, removal)
			return nil
		case idle(err):
			continue
		case err != nil:
			return err
		}
		working, done := w.inHand(ctx)
		in.handle(working, msg)
		done()
		release()
	}
	return nil
}

// inHand is a context for work that has been taken. It is finished even when the process is asked to stop, as long
// as that leaves a quarter of shutdown_timeout for the rest: a server that hangs is not waited for.
func (w *Worker) inHand(ctx context.Context) (working context.Context, done func()) {
	working, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unasked := context.AfterFunc(ctx, func() {
		pause(working, w.rt.Config.ShutdownTimeout*3/4)
		cancel()
	})
	return working, func() { unasked(); cancel() }
}

// idle says whether a request for work ended because there was none: after half a minute the
// server says so, or the client notices.
func idle(err error) bool {
	return errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, jetstream.ErrNoMessages)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
