package access

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/service"
)

// maxField bounds what a client can write into the log with one header or path.
const maxField = 256

// quiet are asked every few seconds by probes and scrapers.
var quiet = map[string]bool{"/health": true, "/healthz": true, "/readyz": true, "/metrics": true}

// Log writes one line for each request and counts it; a WebSocket has one when it opens
// and one when it closes. Probes and scrapes are written at DEBUG, refusals as WARN.
// Tokens are never written.
func Log(rt *service.Runtime, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		rec := &recorder{ResponseWriter: w, opened: func() {
			write(rt, r, slog.LevelInfo, "status", http.StatusSwitchingProtocols, "phase", "open")
			rt.Metrics.Subscribers.WithLabelValues("websocket").Inc()
		}}
		defer func() {
			if rec.status == 0 {
				rec.status = http.StatusOK // what net/http answers for a handler that wrote nothing
			}
			route := r.Pattern
			if route == "" {
				route = "none"
			}
			rt.Metrics.HTTPRequests.WithLabelValues(route, strconv.Itoa(rec.status)).Inc()
			level := slog.LevelInfo
			switch {
			case quiet[r.URL.Path]:
				level = slog.LevelDebug
			case rec.status == http.StatusUnauthorized || rec.status == http.StatusForbidden:
				level = slog.LevelWarn
			}
			args := []any{"status", rec.status, "bytes", rec.bytes, "took_ms", time.Since(began).Milliseconds()}
			if rec.status == http.StatusSwitchingProtocols {
				rt.Metrics.Subscribers.WithLabelValues("websocket").Dec()
				args = append(args, "phase", "closed")
			}
			write(rt, r, level, args...)
		}()
		next.ServeHTTP(rec, r)
	})
}

func write(rt *service.Runtime, r *http.Request, level slog.Level, args ...any) {
	remote, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		remote = r.RemoteAddr
	}
	all := []any{"remote", remote, "method", r.Method, "path", short(r.URL.Path)}
	if r.URL.RawQuery != "" {
		all = append(all, "query", short(redacted(r.URL.Query())))
	}
	for _, h := range []struct{ key, name string }{{"user_agent", "User-Agent"}, {"origin", "Origin"}, {"forwarded_for", "X-Forwarded-For"}} {
		if v := r.Header.Get(h.name); v != "" {
			all = append(all, h.key, short(v))
		}
	}
	rt.Log.Log(context.WithoutCancel(r.Context()), level, "access", append(all, args...)...)
}

func redacted(q url.Values) string {
	for name := range q {
		if strings.Contains(strings.ToLower(name), TokenParameter) {
			q.Set(name, "(hidden)")
		}
	}
	return q.Encode()
}

func short(s string) string {
	if len(s) > maxField {
		return s[:maxField] + "…"
	}
	return s
}

// recorder notes what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	opened func()
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(code int) {
	if r.status == 0 {
		r.status = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Hijack implements [http.Hijacker], by which a WebSocket takes the connection over.
func (r *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(r.ResponseWriter).Hijack()
	if err == nil {
		r.status = http.StatusSwitchingProtocols
		r.opened()
	}
	return c, rw, err
}
