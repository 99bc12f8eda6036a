package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const suffix = ".sock"

// Dir is the folder of this user's sockets: RTAP_RUNTIME_DIR, or rtap-UID among the
// temporary files. Processes of one host or one container find each other there.
func Dir() string {
	if dir := os.Getenv("RTAP_RUNTIME_DIR"); dir != "" {
		return dir
	}
	return filepath.Join(os.TempDir(), "rtap-"+strconv.Itoa(os.Getuid()))
}

// private makes the folder, or refuses one that others could have made or may enter.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of sockets: %w", err)
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at the folder of sockets: %w", err)
	}
	owner, ok := st.Sys().(*syscall.Stat_t)
	if !st.IsDir() || st.Mode().Perm()&0o077 != 0 || !ok || int(owner.Uid) != os.Getuid() {
		return fmt.Errorf("%s must be a folder of this user that nobody else may enter: remove it, or set RTAP_RUNTIME_DIR to another", dir)
	}
	return nil
}

// Listen opens the socket of an instance. A file left behind by a process of the same
// name, which must be gone, gives way.
func Listen(ctx context.Context, instance string) (net.Listener, error) {
	dir := Dir()
	if err := private(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, filepath.Base(instance)+suffix)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("removing an old socket: %w", err)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening for questions: %w", err)
	}
	return l, nil
}

// Handler answers GET /QUESTION?key=value over HTTP.
func (p *Process) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, err := p.answer(r.Context(), strings.Trim(r.URL.Path, "/"), r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = w.Write(data) // an asker that has gone needs no answer
	})
}

// sockets lists the sockets in the folder; those that nobody listens on are removed.
func sockets(ctx context.Context) []string {
	paths, err := filepath.Glob(filepath.Join(Dir(), "*"+suffix))
	if err != nil {
		return nil
	}
	var live []string
	d := net.Dialer{Timeout: time.Second}
	for _, path := range paths {
		conn, err := d.DialContext(ctx, "unix", path)
		switch {
		case err == nil:
			_ = conn.Close()
			live = append(live, path)
		case errors.Is(err, syscall.ECONNREFUSED):
			_ = os.Remove(path)
		}
	}
	return live
}
