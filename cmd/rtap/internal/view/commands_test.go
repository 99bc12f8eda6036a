package view_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oldServer speaks as much of NATS as a client needs to be connected.
func oldServer(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprint(c, `INFO {"server_id":"OLD","version":"2.9.25","max_payload":1048576}`+"\r\n")
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if lines.Text() == "PING" {
					_, _ = fmt.Fprint(c, "PONG\r\n")
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return "nats://" + l.Addr().String()
}

// nobody is an address where no server listens.
func nobody(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return "nats://" + l.Addr().String()
}

// TestConnectSaysWhyNot: a command that does one thing must end where it would wait for ever.
func TestConnectSaysWhyNot(t *testing.T) {
	for name, tt := range map[string]struct {
		url, want string
		code      int
	}{
		"no server":     {nobody(t), "is the pipeline running there?", lifecycle.ExitFailure},
		"an old server": {oldServer(t), "version 2.9.25: update it to 2.14.3 or later", lifecycle.ExitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.NATS.URL = tt.url
			_, _, err := view.Connect(t.Context(), cfg, "dead", io.Discard)
			if err == nil || lifecycle.Code(err) != tt.code || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.url) {
				t.Errorf("got %v with code %d; want %q with %d", err, lifecycle.Code(err), tt.want, tt.code)
			}
		})
	}
}
