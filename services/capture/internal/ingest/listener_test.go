package ingest_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/ingest"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// remote is a bus with what a gateway does for one client.
type remote struct {
	cfg  *config.Config
	bus  *bus.Bus
	last uint64 // sequence of the newest chunk
}

func newRemote(t *testing.T, change func(*config.Config)) *remote {
	t.Helper()
	cfg := config.Default()
	if change != nil {
		change(cfg)
	}
	return &remote{cfg: cfg, bus: testkit.Bus(t, cfg)}
}

// listen runs a capture process's listener; the function it returns stops it.
func (r *remote) listen(t *testing.T) (stop func()) {
	t.Helper()
	m := obs.NewMetrics("capture", "test")
	rt := &service.Runtime{
		Config: r.cfg, Log: slog.New(slog.DiscardHandler), Service: "capture", Instance: fmt.Sprint(time.Now().UnixNano()), Metrics: m,
		Health: obs.NewHealth("capture", "i", "test", m), Bus: testkit.Connect(t, r.cfg),
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = ingest.NewListener(rt).Run(ctx, func([]string) {})
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (r *remote) send(t *testing.T, chunks ...*rtapv1.IngestChunk) {
	t.Helper()
	for _, c := range chunks {
		c.Encoding, c.SampleRateHz, c.Channels = "linear16", 48000, 1
		at, err := r.bus.StoreIngest(t.Context(), c, r.last)
		if err != nil {
			t.Fatal(err)
		}
		r.last = at
	}
}

// frames are all that is stored, in the order of the store.
func (r *remote) frames(t *testing.T) (out []*rtapv1.Frame) {
	t.Helper()
	s, err := r.bus.JS().Stream(t.Context(), bus.StreamAudio)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			continue // removed by the test
		}
		f := &rtapv1.Frame{}
		if err := proto.Unmarshal(m.Data, f); err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// within asks again until what is wanted has come about.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (r *remote) stored(t *testing.T, frame uint64) func() bool {
	return func() bool {
		last, err := r.bus.LastFrame(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		return last != nil && last.GetFrame() >= frame
	}
}

// vad says, as vad does, that the epoch's end has been taken.
func (r *remote) vad(t *testing.T, epoch uint64) {
	t.Helper()
	if _, err := r.bus.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{StreamId: "s", Epoch: epoch, Ended: true}, 0); err != nil {
		t.Fatal(err)
	}
}

func (r *remote) empty(t *testing.T) bool {
	t.Helper()
	first, _, err := r.bus.FirstIngest(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	return first == nil
}

// wanted are the frames of a session as one converter makes them.
func wanted(t *testing.T, chunks []*rtapv1.IngestChunk) []*rtapv1.Frame {
	t.Helper()
	return take(t, ingest.NewConverter("s", "one", 1, formats[4], mono.How{}), chunks)
}

func TestNothingIsLeftOfAnEndedClient(t *testing.T) {
	r := newRemote(t, nil)
	r.listen(t)
	chunks := session(speech(formats[4], 2*48000), true, 1)
	want := wanted(t, chunks)
	r.send(t, chunks...)
	within(t, "end", r.stored(t, want[len(want)-1].GetFrame()))
	if r.empty(t) {
		t.Error("chunks are removed before vad has taken the end")
	}
	r.vad(t, 1)
	within(t, "removal", func() bool { return r.empty(t) })
	s, err := r.bus.JS().Stream(t.Context(), bus.StreamIngest)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
	got := r.frames(t)
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range want {
		same(t, "stored", got[i], want[i])
	}
	// The id may be used again: another epoch.
	r.last = 0
	again := session(speech(formats[4], 4800), false, 1)
	for _, c := range again {
		c.Session = "two"
	}
	r.send(t, again...)
	within(t, "second epoch", func() bool {
		last, _ := r.bus.LastFrame(t.Context(), "s")
		return last.GetEpoch() == 2 && last.GetEnd()
	})
}

// TestAnotherProcessGoesOn stops the process again and again, makes the server lose what it
// had acknowledged last, and expects each frame exactly once.
func TestAnotherProcessGoesOn(t *testing.T) {
	r := newRemote(t, func(c *config.Config) { c.Audio.RingBufferSizeMS = 200 })
	chunks := session(speech(formats[4], 20*48000), true, 2)
	want := wanted(t, chunks)
	for n := 0; n < len(chunks); {
		stop := r.listen(t)
		upTo := min(len(chunks), n+len(chunks)/5+1)
		before := len(take(t, ingest.NewConverter("s", "one", 1, formats[4], mono.How{}), chunks[:upTo]))
		r.send(t, chunks[n:upTo]...)
		n = upTo
		if before > 0 {
			within(t, "frames", r.stored(t, want[before-1].GetFrame()))
		}
		// Time for chunks to be removed.
		time.Sleep(1200 * time.Millisecond)
		stop()
		r.lose(t, 5)
	}
	first, _, err := r.bus.FirstIngest(t.Context(), "s")
	if err != nil || first.GetNumber() == 0 {
		t.Errorf("nothing was removed meanwhile: %v, %v", first.GetNumber(), err)
	}
	r.listen(t)
	within(t, "end", r.stored(t, want[len(want)-1].GetFrame()))
	seen := map[uint64]bool{}
	for _, f := range r.frames(t) {
		if seen[f.GetFrame()] {
			t.Errorf("frame %d is stored twice", f.GetFrame())
		}
		seen[f.GetFrame()] = true
		same(t, "stored", f, want[f.GetFrame()])
	}
	if len(seen) != len(want) {
		t.Errorf("%d frames, want %d", len(seen), len(want))
	}
}

// lose removes the newest frames, as a server may that is killed.
func (r *remote) lose(t *testing.T, n int) {
	t.Helper()
	s, err := r.bus.JS().Stream(t.Context(), bus.StreamAudio)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		last, err := s.GetLastMsgForSubject(t.Context(), bus.Audio("s"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteMsg(t.Context(), last.Sequence); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSilentGatewayEndsTheStream(t *testing.T) {
	r := newRemote(t, func(c *config.Config) { c.Egress.ListenAPI.IdleTimeout = time.Second })
	r.listen(t)
	chunks := session(speech(formats[4], 48000), false, 1)
	r.send(t, chunks[:len(chunks)-1]...) // no CloseStream
	within(t, "end", func() bool {
		last, _ := r.bus.LastFrame(t.Context(), "s")
		return last.GetEnd()
	})
	// A gateway that wakes late is refused.
	late := proto.Clone(chunks[len(chunks)-1]).(*rtapv1.IngestChunk)
	if _, err := r.bus.StoreIngest(t.Context(), late, r.last); err == nil {
		t.Error("a chunk was stored behind the end")
	}
	got, want := r.frames(t), wanted(t, chunks)
	for i := range want {
		same(t, "stored", got[i], want[i])
	}
}

// TestOneReader: a reader whose consumer another has taken is told.
func TestOneReader(t *testing.T) {
	r := newRemote(t, nil)
	r.send(t, session(speech(formats[4], 4800), false, 1)...)
	first, err := r.bus.ReadIngest(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := r.bus.ReadIngest(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	select {
	case <-first.Closed():
	case <-time.After(30 * time.Second):
		t.Error("the first reader is not told")
	}
	var m jetstream.Msg
	select {
	case m = <-second.Messages():
	case <-time.After(30 * time.Second):
		t.Fatal("the second reader gets nothing")
	}
	c := &rtapv1.IngestChunk{}
	if err := proto.Unmarshal(m.Data(), c); err != nil || c.GetNumber() != 0 {
		t.Errorf("chunk %d, %v", c.GetNumber(), err)
	}
}
