package bus_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
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
	cfg := config.Default()
	cfg.NATS.URL = "nats://ada:secret@" + testkit.OldServer(t, "2.10.4")
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
