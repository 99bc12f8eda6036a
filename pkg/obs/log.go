// Package obs is what every process shows of itself: logs, metrics and health.
package obs

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/config"
)

// NewLogger builds the process's logger: text on a terminal, JSON elsewhere, and with
// cfg.Dir also a daily file rtap-YYYYMMDD.log there. Every line names the service.
func NewLogger(cfg config.Log, service string, w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	name := cfg.Level
	if name == "WARNING" {
		name = "WARN"
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return nil, fmt.Errorf("log.level: %w", err)
	}
	opts := &slog.HandlerOptions{Level: level}
	text := cfg.Format == "text" || (cfg.Format == "auto" && isTerminal(w))
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("making log.dir: %w", err)
		}
		w = io.MultiWriter(w, &dailyFile{dir: cfg.Dir})
	}
	var h slog.Handler = slog.NewJSONHandler(w, opts)
	if text {
		h = slog.NewTextHandler(w, opts)
	}
	return slog.New(h).With("service", strings.TrimPrefix(service, "rtap-")), nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}

// dailyFile appends to the file of the day. A full disk must not stop the process, so
// a failed write is passed over: the same line has gone to standard error.
type dailyFile struct {
	dir  string
	mu   sync.Mutex
	day  string
	file *os.File
}

func (d *dailyFile) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	day := time.Now().Format("20060102")
	if day != d.day {
		f, err := os.OpenFile(filepath.Join(d.dir, "rtap-"+day+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return len(p), nil //nolint:nilerr // see the type's comment
		}
		if d.file != nil {
			_ = d.file.Close()
		}
		d.day, d.file = day, f
		pointTo(f.Name())
	}
	_, _ = d.file.Write(p)
	return len(p), nil
}
