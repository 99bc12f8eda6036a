// Package control is the private side of every RTAP process: what an operator may ask of
// it while it runs. Questions come over a unix socket that only the same user can open,
// which works when NATS is down, and over NATS, which works from one container to another.
package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// What may be asked.
const (
	// Status answers with a ServiceStatus as JSON.
	Status = "status"
	// Metrics answers with the process's metrics in Prometheus's text form.
	Metrics = "metrics"
	// Logs answers with the newest log lines, JSON, oldest first: lines=N.
	Logs = "logs"
	// Profile answers with a profile: kind=cpu|heap|allocs|goroutines|mutex|block,
	// seconds=N where it covers a time, text=true for goroutines that people can read.
	Profile = "profile"
	// Failover makes the active gateway give its role up.
	Failover = "failover"
)

// ErrBusy says that the process is answering as many questions as it will at once.
var ErrBusy = errors.New("busy with other questions, ask again later")

// Process answers for one process. Safe for concurrent use once its fields are set.
type Process struct {
	Status  func() *rtapv1.ServiceStatus
	Metrics prometheus.Gatherer
	Logs    *Recent
	// More is what only some processes are asked.
	More map[string]func(ctx context.Context, q url.Values) ([]byte, error)
}

// answer gives what was asked for; the error is the asker's to read.
func (p *Process) answer(ctx context.Context, question string, q url.Values) ([]byte, error) {
	switch question {
	case Status:
		return wire.MarshalJSON(p.Status())
	case Metrics:
		return p.metrics()
	case Logs:
		lines := 0
		if text := q.Get("lines"); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("lines=%q: want a number above 0", text)
			}
			lines = n
		}
		return p.Logs.Tail(lines), nil
	case Profile:
		return take(ctx, q)
	default:
		if f := p.More[question]; f != nil {
			return f(ctx, q)
		}
		return nil, fmt.Errorf("unknown question %q: want status, metrics, logs or profile", question)
	}
}

func (p *Process) metrics() ([]byte, error) {
	// What cannot be gathered comes with an error beside the rest.
	families, err := p.Metrics.Gather()
	if len(families) == 0 && err != nil {
		return nil, fmt.Errorf("gathering metrics: %w", err)
	}
	var out bytes.Buffer
	enc := expfmt.NewEncoder(&out, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, f := range families {
		if err := enc.Encode(f); err != nil {
			return nil, fmt.Errorf("writing metrics: %w", err)
		}
	}
	return out.Bytes(), nil
}
