package bus_test

import (
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

func TestSetupMakesEverythingOnceAndKeepsLogID(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	id, err := b.LogID(t.Context())
	if err != nil || id == "" {
		t.Fatalf("log id %q, %v", id, err)
	}
	cfg.Streams.Audio.MaxMB = 300
	again := testkit.Connect(t, cfg)
	if got, _ := again.LogID(t.Context()); got != id {
		t.Errorf("log id changed from %s to %s", id, got)
	}
	s, err := b.JS().Stream(t.Context(), bus.StreamAudio)
	if err != nil {
		t.Fatal(err)
	}
	if c := s.CachedInfo().Config; c.MaxBytes != 300<<20 || c.PersistMode != jetstream.AsyncPersistMode {
		t.Errorf("audio: %d bytes, persist mode %v", c.MaxBytes, c.PersistMode)
	}
	for _, name := range []string{bus.StreamIngest, bus.StreamDrafts, bus.StreamJobs, bus.StreamResults, bus.StreamTranscripts, bus.StreamDead, bus.StreamEvents} {
		if _, err := b.JS().Stream(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSetupAsAUserWhoMayNotChangeStreams: what exists and is right needs no change, and what
// differs stays as it is instead of keeping the process out.
func TestSetupAsAUserWhoMayNotChangeStreams(t *testing.T) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, JetStreamMaxStore: 8 << 30,
		JetStreamMaxMemory: 256 << 20,
		Users: []*server.User{{Username: "owner", Password: "o"}, {Username: "guest", Password: "g", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: []string{">"}, Deny: []string{"$JS.API.STREAM.UPDATE.>", "$JS.API.STREAM.DELETE.>"}},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(time.Minute) {
		t.Fatal("the nats server is not ready")
	}
	var said lines
	as := func(user, password string, maxMB int) *bus.Bus {
		cfg := config.Default()
		cfg.NATS.URL, cfg.NATS.User, cfg.NATS.Password, cfg.Streams.Audio.MaxMB = s.ClientURL(), user, password, maxMB
		b, err := bus.Connect(cfg, t.Name(), slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn})))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Conn().Close)
		if err := b.Setup(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b
	}
	guest := as("guest", "g", 300)
	as("guest", "g", 300)
	if warnings := said.text(); warnings != "" {
		t.Errorf("although nothing differs: %s", warnings)
	}
	kv, err := guest.JS().KeyValue(t.Context(), bus.BucketConfig)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := kv.Status(t.Context()); err != nil || status.History() != 5 {
		t.Errorf("a guest made the settings with a history of %d: %v", status.History(), err)
	}
	again := as("guest", "g", 400)
	if n := sizeOf(t, again); n != 300<<20 {
		t.Errorf("a guest changed the audio to %d bytes", n)
	}
	if err := again.Setup(t.Context()); err != nil { // as after each reconnection
		t.Error(err)
	}
	if n := strings.Count(said.text(), "may not change the stream"); n != 1 {
		t.Errorf("it was said %d times that the audio stays as it is:\n%s", n, said.text())
	}
	if n := sizeOf(t, as("owner", "o", 500)); n != 500<<20 {
		t.Errorf("the owner left the audio at %d bytes", n)
	}
}

// lines is a log that is written from several goroutines.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func sizeOf(t *testing.T, b *bus.Bus) int64 {
	t.Helper()
	s, err := b.JS().Stream(t.Context(), bus.StreamAudio)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config.MaxBytes
}

func TestCheckpointCompareAndSet(t *testing.T) {
	b := testkit.Bus(t, nil)
	cp := &rtapv1.Checkpoint{StreamId: "a", Ordinal: 1}
	if got, rev, err := b.LoadCheckpoint(t.Context(), "a"); got != nil || rev != 0 || err != nil {
		t.Fatalf("empty bucket: %v %d %v", got, rev, err)
	}
	rev, err := b.StoreCheckpoint(t.Context(), cp, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.StoreCheckpoint(t.Context(), cp, 0); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("second first write: %v", err)
	}
	cp.Ordinal = 2
	if _, err := b.StoreCheckpoint(t.Context(), cp, rev); err != nil {
		t.Errorf("holder: %v", err)
	}
	if _, err := b.StoreCheckpoint(t.Context(), cp, rev); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("late holder: %v", err)
	}
	if got, _, _ := b.LoadCheckpoint(t.Context(), "a"); got.GetOrdinal() != 2 {
		t.Errorf("stored ordinal %d", got.GetOrdinal())
	}
}

func TestFirstResultStands(t *testing.T) {
	b := testkit.Bus(t, nil)
	r := &rtapv1.Result{StreamId: "a", Ordinal: 7, Kind: rtapv1.Result_KIND_TEXT}
	if has, err := b.HasResult(t.Context(), "a", 7); has || err != nil {
		t.Fatalf("before: %v %v", has, err)
	}
	if err := b.StoreResult(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := b.StoreResult(t.Context(), r); !errors.Is(err, bus.ErrExists) {
		t.Errorf("second: %v", err)
	}
	if has, err := b.HasResult(t.Context(), "a", 7); !has || err != nil {
		t.Errorf("after: %v %v", has, err)
	}
}

func TestFinalsCompareAndSet(t *testing.T) {
	b := testkit.Bus(t, nil)
	final := func(n uint32) wire.Entry {
		return wire.Entry{Results: &rtapv1.Results{Type: "Results", Rtap: &rtapv1.ResultsRtap{StreamId: "a", Seq: n, Ordinal: n}}}
	}
	seq, err := b.StoreFinal(t.Context(), final(1), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.StoreFinal(t.Context(), final(1), 0); !errors.Is(err, bus.ErrConflict) {
		t.Errorf("doubled: %v", err)
	}
	if _, err := b.StoreFinal(t.Context(), final(2), seq); err != nil {
		t.Error(err)
	}
	last, _, err := b.LastFinal(t.Context(), "a")
	if err != nil || last.Seq() != 2 {
		t.Errorf("last %+v %v", last, err)
	}
	if has, _ := b.HasResult(t.Context(), "a", 1); !has {
		t.Error("a released ordinal counts as open")
	}
}

func TestStreamIDs(t *testing.T) {
	for id, ok := range map[string]bool{"mic": true, "A-b_9": true, "": false, "a.b": false, "a b": false, "*": false, "ä": false, strings.Repeat("a", 65): false} {
		if err := bus.ValidateStreamID(id); (err == nil) != ok {
			t.Errorf("%q: %v", id, err)
		}
	}
	for subject, want := range map[string]string{
		bus.Audio("x"): "x", bus.FinalJob("x"): "x", bus.Draft("x"): "x", bus.Result("x", 3): "x", bus.Final("x"): "x", bus.Vad("x", "level"): "x",
	} {
		if got := bus.StreamOf(subject); got != want {
			t.Errorf("StreamOf(%s) = %s", subject, got)
		}
	}
}
