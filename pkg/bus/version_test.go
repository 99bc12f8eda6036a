package bus_test

import (
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

func TestOlder(t *testing.T) {
	for version, want := range map[string]bool{
		"2.14.2": true, "2.9.30": true, "v2.14.2-beta.1": true, "1.99.99": true, "2.14.3": false, "2.15.0-RC.1": false, "3.0.0": false,
	} {
		if got := bus.Older(version, "2.14.3"); got != want {
			t.Errorf("%s: got %v", version, got)
		}
	}
}

// TestOldServer: a server of an old version ends the process with one line.
func TestOldServer(t *testing.T) {
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
			_, _ = fmt.Fprint(c, `INFO {"server_id":"OLD","version":"2.10.4","max_payload":1048576}`+"\r\n")
			buf := make([]byte, 4096)
			for {
				n, err := c.Read(buf)
				if err != nil {
					_ = c.Close()
					break
				}
				if strings.Contains(string(buf[:n]), "PING") {
					_, _ = fmt.Fprint(c, "PONG\r\n")
				}
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	cfg := config.Default()
	cfg.NATS.URL = "nats://ada:secret@" + l.Addr().String()
	b, err := bus.Connect(cfg, "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Conn().Close()
	err = b.Run(t.Context())
	if lifecycle.Code(err) != lifecycle.ExitUsage || !strings.Contains(err.Error(), "version 2.10.4: update it to 2.14.3 or later") || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
