package channels_test

import (
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/channels"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestToldOnTheBus: what is found is an event and a count, once however often a file is read
// from its beginning.
func TestToldOnTheBus(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	events := make(chan *nats.Msg, 16)
	if _, err := b.Conn().ChanSubscribe(bus.Event("capture", "level"), events); err != nil {
		t.Fatal(err)
	}
	metrics := obs.NewMetrics("capture", "test")
	how := channels.For(&service.Runtime{Config: cfg, Log: slog.New(slog.DiscardHandler), Service: "capture", Metrics: metrics, Bus: b}, "s")
	const rate, seconds = 2000, 12
	play := func(gain float32) { // of the second channel, against the first one's tone
		m := mono.New(2, rate, how)
		for i := range seconds * rate {
			x := float32(0.2 * math.Sin(2*math.Pi*110*float64(i)/rate))
			m.Frame()[0], m.Frame()[1] = x, gain*x
			m.Mix()
		}
	}
	play(-1)
	play(-1)
	play(0)
	for _, want := range []string{mono.ProblemOpposite, mono.ProblemOneSided} {
		select {
		case m := <-events:
			e := &rtapv1.ServiceEvent{}
			if err := wire.UnmarshalJSON(m.Data, e); err != nil {
				t.Fatal(err)
			}
			if e.GetStreamId() != "s" || e.GetAttributes()["problem"] != want || e.GetSeverity() != rtapv1.ServiceEvent_SEVERITY_WARNING || e.GetMessage() == "" {
				t.Errorf("told is %v, want %s", e, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s is not told", want)
		}
	}
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := 0.0
	for _, f := range families {
		if f.GetName() == "rtap_level_warnings_total" {
			for _, m := range f.GetMetric() {
				counted += m.GetCounter().GetValue()
			}
		}
	}
	if counted != 2 || len(events) > 0 {
		t.Errorf("%v counted, %d events too many", counted, len(events))
	}
}
