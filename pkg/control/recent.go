package control

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
)

// Recent keeps the newest log lines of a process, so that they can be asked for wherever
// its output goes. Safe for concurrent use.
type Recent struct {
	mu    sync.Mutex
	lines [][]byte // oldest first, each with its newline
	bytes int
	limit int
}

// NewRecent keeps up to limit bytes of lines.
func NewRecent(limit int) *Recent { return &Recent{limit: limit} }

// Write takes one line; the oldest ones give way.
func (r *Recent) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, bytes.Clone(line))
	r.bytes += len(line)
	drop := 0
	for r.bytes > r.limit && drop < len(r.lines) {
		r.bytes -= len(r.lines[drop])
		drop++
	}
	r.lines = slices.Delete(r.lines, 0, drop)
	return len(line), nil
}

// Tail returns the newest n lines, all for 0.
func (r *Recent) Tail(n int) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := 0
	if n > 0 {
		from = max(0, len(r.lines)-n)
	}
	return bytes.Join(r.lines[from:], nil)
}

// handler sends records to the process's own log and to Recent, from a level that can
// change at any time.
type handler struct {
	level  interface{ Level() slog.Level }
	out    slog.Handler
	recent slog.Handler
}

// Handler gives a handler that passes records at level and above to out, and keeps them
// in recent as JSON. What out itself thinks of levels does not count.
func Handler(out slog.Handler, level interface{ Level() slog.Level }, recent *Recent) slog.Handler {
	return handler{level, out, slog.NewJSONHandler(recent, &slog.HandlerOptions{Level: slog.LevelDebug})}
}

func (h handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	_ = h.recent.Handle(ctx, r.Clone()) // it only writes to memory
	return h.out.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.level, h.out.WithAttrs(attrs), h.recent.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.level, h.out.WithGroup(name), h.recent.WithGroup(name)}
}
