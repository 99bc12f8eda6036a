// Package obs is what every process shows of itself: logs, metrics and health.
package obs

import (
	"errors"
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

// dailyFile appends to the file of the day, whole lines at a time. It is opened again when
// the day changes and when it is no longer the file of that name, as after logrotate has
// moved it away: so nothing is written to a file that is being compressed, and no signal is
// needed. A full disk must not stop the process, so a failed write is passed over: the same
// line has gone to standard error.
type dailyFile struct {
	dir  string
	mu   sync.Mutex
	path string
	file *os.File
	info os.FileInfo
}

func (d *dailyFile) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.dir, "rtap-"+time.Now().Format("20060102")+".log")
	if st, err := os.Stat(path); d.file == nil || path != d.path || err != nil || !os.SameFile(st, d.info) {
		if err := d.open(path); err != nil {
			return len(p), nil //nolint:nilerr // see the type's comment
		}
	}
	_, _ = d.file.Write(p)
	return len(p), nil
}

func (d *dailyFile) open(path string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if d.file != nil {
		_ = d.file.Close()
	}
	d.path, d.file, d.info = path, f, info
	pointTo(path)
	return nil
}
