package bus_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
)

func TestLed(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	if since, ok := b.Led(t.Context(), bus.StreamAudio); !ok || since < 24*time.Hour {
		t.Errorf("a server that stands alone: for %s, %v", since, ok)
	}
	if _, ok := b.Led(t.Context(), "RTAP_NONE"); ok {
		t.Error("a stream that is not there can be written")
	}
}
