package up

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// child is one process that is kept alive.
type child struct {
	name    string
	path    string
	args    []string
	environ []string
	stderr  io.Writer
	stop    time.Duration
	// mayEnd: it may come to the end of its work and says so by its exit code.
	mayEnd bool
	// reloads: a SIGHUP makes it read its configuration again.
	reloads bool

	mu      sync.Mutex
	process *os.Process // nil while there is none
}

// signal passes s on to the process, if there is one.
func (c *child) signal(s os.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		_ = c.process.Signal(s) // it may just have ended
	}
}

// passHangups passes SIGHUP on to the children that reload. On a terminal the signal
// means that the terminal is gone, and ends the program as ever.
func passHangups(ctx context.Context, children []*child) error {
	hup := make(chan os.Signal, 1)
	if st, err := os.Stdin.Stat(); err != nil || st.Mode()&os.ModeCharDevice == 0 || isNull(st) {
		signal.Notify(hup, syscall.SIGHUP)
		defer signal.Stop(hup)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hup:
			for _, c := range children {
				if c.reloads {
					c.signal(syscall.SIGHUP)
				}
			}
		}
	}
}

// isNull tells /dev/null, the input of a service, from a terminal.
func isNull(st os.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	return err == nil && os.SameFile(st, null)
}

// run starts the process again with growing pauses until ctx is done, it ends its work,
// or it says that the user must mend something.
func (c *child) run(ctx context.Context, log *slog.Logger) error {
	wait := 100 * time.Millisecond
	for {
		began := time.Now()
		err := c.once(ctx)
		var exit *exec.ExitError
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case c.mayEnd && errors.As(err, &exit) && exit.ExitCode() == lifecycle.ExitEnded:
			return nil
		case errors.As(err, &exit) && exit.ExitCode() == lifecycle.ExitUsage:
			return &lifecycle.ExitError{Code: lifecycle.ExitUsage, Err: errors.New(c.name + " cannot start, see its message above")}
		}
		if time.Since(began) > 10*time.Second {
			wait = 100 * time.Millisecond
		}
		log.Warn("a process died, starting it again", "process", c.name, "error", err, "wait", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		wait = min(2*wait, 5*time.Second)
	}
}

func (c *child) once(ctx context.Context) error {
	// The parent-death signal follows the thread that forked, so this one must live on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env, cmd.Stderr, cmd.Stdout = c.environ, c.stderr, c.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.stop
	if err := cmd.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	c.process = cmd.Process
	c.mu.Unlock()
	err := cmd.Wait()
	c.mu.Lock()
	c.process = nil
	c.mu.Unlock()
	return err
}

// lines passes whole lines on, so that processes do not mix theirs.
type lines struct {
	mu  *sync.Mutex
	out io.Writer
	buf []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	if i := bytes.LastIndexByte(l.buf, '\n'); i >= 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if _, err := l.out.Write(l.buf[:i+1]); err != nil {
			return 0, err
		}
		l.buf = append([]byte(nil), l.buf[i+1:]...)
	}
	return len(p), nil
}
