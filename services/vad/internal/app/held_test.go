package app

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// loud calls a frame speech when its first sample is loud.
type loud struct{}

var _ Detector = loud{}

func (loud) Probability(f []float32) (float32, error) {
	if f[0] > 0.1 {
		return 0.9, nil
	}
	return 0.1, nil
}
func (loud) State() []byte         { return nil }
func (loud) SetState([]byte) error { return nil }
func (loud) Reset()                {}
func (loud) Close() error          { return nil }

// utterances stores frames of n segments of ten seconds each, and the end.
func utterances(t *testing.T, b *bus.Bus, n int) {
	t.Helper()
	speech, silence := make([]byte, 2*frameSamples), make([]byte, 2*frameSamples)
	for i := range frameSamples {
		binary.LittleEndian.PutUint16(speech[2*i:], 0x4000)
	}
	number := uint64(0)
	put := func(pcm []byte, end bool) {
		f := &rtapv1.Frame{StreamId: "s", Epoch: 1, Frame: number, Clock: clock.Now(), Pcm: pcm, End: end}
		data, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.JS().Publish(t.Context(), bus.Audio("s"), data); err != nil {
			t.Fatal(err)
		}
		number++
	}
	for range n {
		for i := range 340 {
			pcm := speech
			if i >= 313 {
				pcm = silence
			}
			put(pcm, false)
		}
	}
	put(silence, true)
}

// TestHoldsBackWhileJobsAreFull closes six segments while three fill RTAP_JOBS and nobody
// takes them: the rest waits, which everybody can see, and then all come once, in order.
func TestHoldsBackWhileJobsAreFull(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	cfg.Streams.Jobs.MaxMB = 1
	cfg.STT.ContextMS, cfg.STT.Speculate, cfg.STT.InterimIntervalMS = 0, false, 0
	rt := process(t, cfg)
	b, m := rt.Bus, rt.Metrics
	ctx, wg := connected(t, rt)
	events := make(chan *rtapv1.ServiceEvent, 64)
	if _, err := b.Conn().Subscribe(bus.Event("vad", kindHoldingBack), func(m *nats.Msg) {
		e := &rtapv1.ServiceEvent{}
		if err := wire.UnmarshalJSON(m.Data, e); err == nil {
			events <- e
		}
	}); err != nil {
		t.Fatal(err)
	}
	const segments = 6
	utterances(t, b, segments)
	wg.Go(func() { _ = Follow(ctx, rt, func() (Detector, error) { return loud{}, nil }) })

	event := func(want rtapv1.ServiceEvent_Severity) {
		t.Helper()
		select {
		case e := <-events:
			if e.GetSeverity() != want {
				t.Errorf("event %v, want %v", e, want)
			}
		case <-time.After(time.Minute):
			t.Fatal("nobody says that the stream is held back, or goes on")
		}
	}
	event(rtapv1.ServiceEvent_SEVERITY_WARNING)
	within := func(what string, done func() bool) {
		t.Helper()
		within(t, what, done, func() any { return rt.Health.Status() })
	}
	within("the process is degraded", func() bool {
		s := rt.Health.Status()
		return s.GetState() == obs.StateDegraded && !s.GetReady() && strings.Contains(strings.Join(s.GetReasons(), " "), "RTAP_JOBS is full, 1 held back (s)")
	})
	if got := value(t, m, "rtap_vad_held_back_streams"); got != 1 {
		t.Errorf("rtap_vad_held_back_streams %v", got)
	}
	jobs, err := b.JS().Stream(ctx, bus.StreamJobs)
	if err != nil {
		t.Fatal(err)
	}
	if n := jobs.CachedInfo().State.Msgs; n == 0 || n >= segments {
		t.Fatalf("%d jobs fill the queue", n)
	}
	ordinals := take(t, jobs, segments)
	if want := []uint64{1, 3, 5, 7, 9, 11}; !slices.Equal(ordinals, want) {
		t.Errorf("jobs %v, want %v", ordinals, want)
	}
	within("all is well again", func() bool {
		s := rt.Health.Status()
		return s.GetState() == obs.StateActive && s.GetReady() && value(t, m, "rtap_vad_held_back_streams") == 0
	})
	event(rtapv1.ServiceEvent_SEVERITY_INFO)
	if len(events) > 0 {
		t.Errorf("it was said more than once: %v", <-events)
	}
	if got := value(t, m, "rtap_errors_total", "jobs_full"); got != 1 {
		t.Errorf("it is counted %v times", got)
	}
	if got := value(t, m, "rtap_errors_total", "gap"); got != 0 {
		t.Errorf("%v gaps", got)
	}
	// The stream's end has the last ordinal: nothing comes after it.
	within("the stream's end", func() bool {
		cp, _, err := b.LoadCheckpoint(ctx, "s")
		return err == nil && cp.GetEnded()
	})
	if n, err := jobs.Info(ctx); err != nil || n.State.Msgs != 0 {
		t.Errorf("left are %v, %v", n, err)
	}
}

// take takes jobs until n segments have come, and returns their order; the numbers between
// are those of utterances' ends.
func take(t *testing.T, jobs jetstream.Stream, n int) (order []uint64) {
	t.Helper()
	c, err := jobs.CreateOrUpdateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "test", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); len(order) < n; {
		m, err := c.Next(jetstream.FetchMaxWait(time.Second))
		if errors.Is(err, nats.ErrTimeout) && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatalf("after %v: %v", order, err)
		}
		j := &rtapv1.FinalJob{}
		if err := proto.Unmarshal(m.Data(), j); err != nil {
			t.Fatal(err)
		}
		order = append(order, j.GetOrdinal())
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return order
}

// value is what a metric stands at, of its series with a label of that value if one is named.
func value(t *testing.T, m *obs.Metrics, name string, label ...string) float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, one := range f.GetMetric() {
			of := len(label) == 0
			for _, l := range one.GetLabel() {
				of = of || l.GetValue() == label[0]
			}
			if f.GetName() == name && of {
				return one.GetGauge().GetValue() + one.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s %v", name, label)
	return 0
}
