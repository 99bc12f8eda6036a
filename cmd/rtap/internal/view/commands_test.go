package view_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		"an old server": {"nats://" + testkit.OldServer(t, "2.9.25"), "version 2.9.25: update it to 2.14.3 or later", lifecycle.ExitUsage},
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
