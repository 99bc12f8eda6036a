package service

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"golang.org/x/time/rate"
)

// gateway is the service whose log shows the errors of all others.
const gateway = "egress"

// reporting passes records on and tells the bus of errors, so that they are found in one
// place; at most one a second after the first ten.
type reporting struct {
	slog.Handler
	attrs []slog.Attr
	limit *rate.Limiter
	emit  func(kind string, severity rtapv1.ServiceEvent_Severity, message string, fill func(*rtapv1.ServiceEvent))
}

// reportErrors gives r's logger that duty. The gateway's own log has its errors already,
// and an event about one would only come back to it.
func (r *Runtime) reportErrors() {
	if r.Service != gateway {
		r.Log = slog.New(&reporting{Handler: r.Log.Handler(), limit: rate.NewLimiter(rate.Every(time.Second), 10), emit: r.Emit})
	}
}

// Handle implements [slog.Handler].
func (h *reporting) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelError && h.limit.Allow() {
		h.emit("error", rtapv1.ServiceEvent_SEVERITY_ERROR, rec.Message, func(e *rtapv1.ServiceEvent) {
			e.Attributes = map[string]string{}
			note := func(a slog.Attr) bool {
				if a.Key == "stream_id" {
					e.StreamId = a.Value.String()
				} else {
					e.Attributes[a.Key] = fmt.Sprint(a.Value.Any())
				}
				return true
			}
			for _, a := range h.attrs {
				note(a)
			}
			rec.Attrs(note)
		})
	}
	return h.Handler.Handle(ctx, rec)
}

// WithAttrs implements [slog.Handler].
func (h *reporting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &reporting{h.Handler.WithAttrs(attrs), append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...), h.limit, h.emit}
}

// WithGroup implements [slog.Handler].
func (h *reporting) WithGroup(name string) slog.Handler {
	return &reporting{h.Handler.WithGroup(name), h.attrs, h.limit, h.emit}
}
