package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/pkg/lifecycle"
	"go.uber.org/goleak"
)

// panicking makes the test binary a program that panics.
const panicking = "RTAP_TEST_PANIC"

func TestMain(m *testing.M) {
	if os.Getenv(panicking) != "" {
		os.Exit(lifecycle.Main("test", "v", func(context.Context, lifecycle.Env) error { panic("on purpose") }))
	}
	goleak.VerifyTestMain(m)
}

// TestPanicIsNoUsage: who restarts processes must tell a crash from wrong arguments.
func TestPanicIsNoUsage(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), panicking+"=1")
	out, err := cmd.CombinedOutput()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); err == nil || !ok || status.Signal() != syscall.SIGABRT {
		t.Errorf("ended with %v: %s", err, out)
	}
}

func TestGroupStopsInReverse(t *testing.T) {
	var order []string
	g := lifecycle.Group{Timeout: time.Minute}
	for _, name := range []string{"bus", "worker", "feed"} {
		g.Add(lifecycle.Part{
			Name: name,
			Run:  func(ctx context.Context) error { <-ctx.Done(); return nil },
			Stop: func(context.Context) error { order = append(order, name); return nil },
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if want := []string{"feed", "worker", "bus"}; !slices.Equal(order, want) {
		t.Errorf("stopped in order %v, want %v", order, want)
	}
}

func TestGroupFirstErrorEndsAll(t *testing.T) {
	boom := errors.New("boom")
	var g lifecycle.Group
	g.Add(lifecycle.Part{Name: "a", Run: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }})
	g.Add(lifecycle.Part{Name: "b", Run: func(context.Context) error { return boom }})
	if err := g.Run(t.Context()); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
}

func TestGroupNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		g := lifecycle.Group{Timeout: 5 * time.Second}
		g.Add(lifecycle.Part{Name: "stuck", Run: func(context.Context) error { <-release; return nil }})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := g.Run(ctx)
		if err == nil || err.Error() != "stuck did not stop in time" {
			t.Errorf("got %v", err)
		}
		close(release)
		synctest.Wait()
	})
}

func TestCode(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{context.Canceled, 0},
		{errors.New("x"), 1},
		{lifecycle.Usage(errors.New("x")), 2},
		{fmt.Errorf("wrapped: %w", lifecycle.Usage(errors.New("x"))), 2},
	} {
		if got := lifecycle.Code(tt.err); got != tt.want {
			t.Errorf("Code(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
