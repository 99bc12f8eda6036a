package transcriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/sony/gobreaker/v2"
)

// probePause is how often who may not take a job looks again.
const probePause = 50 * time.Millisecond

// Breaker keeps a process whose engine only fails from taking jobs, which others could do:
// after some failures in a row it takes none for a while, then one. Workers of one process
// share it. Safe for concurrent use.
type Breaker struct {
	rt *service.Runtime

	mu      sync.Mutex
	engine  string
	circuit *gobreaker.TwoStepCircuitBreaker[any]
	probing bool // somebody tries the one job
}

// NewBreaker makes one for an engine, closed.
func NewBreaker(rt *service.Runtime, engine string) *Breaker {
	b := &Breaker{rt: rt}
	b.Reset(engine)
	return b
}

// Reset begins anew with another engine, or with the same one loaded again.
func (b *Breaker) Reset(engine string) {
	cfg := b.rt.Config.Resilience.CircuitBreaker
	b.mu.Lock()
	defer b.mu.Unlock()
	b.engine = engine
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
		Name: engine, MaxRequests: 1, Timeout: cfg.OpenFor,
		ReadyToTrip:   func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= cfg.Failures },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) }, // says nothing of the engine
		OnStateChange: b.changed,
	})
	b.rt.Metrics.BreakerState.Reset()
	b.rt.Metrics.BreakerState.WithLabelValues(engine).Set(0)
	b.rt.Health.SetProblem("engine", "")
}

// changed says what the breaker does now; it is called with the circuit's lock held.
func (b *Breaker) changed(engine string, from, to gobreaker.State) {
	cfg := b.rt.Config.Resilience.CircuitBreaker
	b.rt.Metrics.BreakerState.WithLabelValues(engine).Set(map[gobreaker.State]float64{gobreaker.StateHalfOpen: 1, gobreaker.StateOpen: 2}[to])
	severity, reason, message := rtapv1.ServiceEvent_SEVERITY_INFO, "", "the recogniser works again"
	switch to {
	case gobreaker.StateOpen:
		severity = rtapv1.ServiceEvent_SEVERITY_ERROR
		message = "the recogniser only fails; its jobs are left to others"
		reason = fmt.Sprintf("%s failed %d times in a row; no jobs for %s, then one is tried (`rtap models verify`, and the log, say more)", engine, cfg.Failures, cfg.OpenFor)
		if from == gobreaker.StateHalfOpen {
			reason = fmt.Sprintf("%s failed again; no jobs for another %s", engine, cfg.OpenFor)
		}
		b.rt.Log.Error("the recogniser only fails; its jobs are left to others", "engine", engine, "open_for", cfg.OpenFor)
		b.rt.Health.SetState(obs.StateDegraded)
	case gobreaker.StateHalfOpen:
		message, reason = "the recogniser is tried with one job", engine+" failed, and is tried with one job"
	case gobreaker.StateClosed:
		b.rt.Log.Info("the recogniser works again", "engine", engine)
		b.rt.Health.SetState(obs.StateActive)
	}
	b.rt.Health.SetProblem("engine", reason)
	b.rt.Emit("breaker", severity, message, func(e *rtapv1.ServiceEvent) {
		e.From, e.To = from.String(), to.String()
		e.Attributes = map[string]string{"engine": engine}
	})
}

// admit says whether a job of a class may be taken now. While one is tried, it is a final,
// and nobody else's; release is to be called when that job is done, or none came.
func (b *Breaker) admit(c class) (release func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.circuit.State() {
	case gobreaker.StateClosed:
		return func() {}, true
	case gobreaker.StateHalfOpen:
		if c != classFinal || b.probing {
			return nil, false
		}
		b.probing = true
		return func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.probing = false
		}, true
	}
	return nil, false
}

// run calls an inference and counts how it ends, unless the breaker has opened since its job
// was taken.
func (b *Breaker) run(infer func() error) error {
	b.mu.Lock()
	circuit := b.circuit
	inUse := b.rt.Metrics.BulkheadInUse.WithLabelValues(b.engine)
	b.mu.Unlock()
	inUse.Inc()
	defer inUse.Dec()
	done, refused := circuit.Allow()
	err := infer()
	if refused == nil {
		done(err)
	}
	return err
}
