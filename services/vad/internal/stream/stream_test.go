package stream_test

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/stream"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loudness calls a frame speech when its first sample is loud.
type loudness struct{}

var _ stream.Detector = loudness{}

func (loudness) Probability(f []float32) (float32, error) {
	if f[0] > 0.1 {
		return 0.9, nil
	}
	return 0.1, nil
}
func (loudness) State() []byte         { return nil }
func (loudness) SetState([]byte) error { return nil }
func (loudness) Reset()                {}

// frames draws an epoch's frames from a number on: '#' speech, '.' silence, '$' the end.
func frames(epoch, from uint64, drawing string) (out []*rtapv1.Frame) {
	for i, r := range drawing {
		f := &rtapv1.Frame{StreamId: "s", Epoch: epoch, Frame: from + uint64(i), Clock: clock.Now(), Pcm: make([]byte, 1024), End: r == '$'}
		if r == '#' {
			f.Pcm[1] = 0x40
		}
		out = append(out, f)
	}
	return out
}

func settings() *config.Config {
	cfg := config.Default()
	cfg.VAD.HangoverMS, cfg.VAD.UtteranceEndMS, cfg.VAD.TailMS, cfg.VAD.PreRollMS = 128, 256, 64, 64
	cfg.VAD.OffsetThreshold = 0.5
	return cfg
}

func open(t *testing.T, cfg *config.Config, b *bus.Bus) *stream.Stream {
	t.Helper()
	s, _ := counting(t, cfg, b)
	return s
}

// counting is open with what the stream counts.
func counting(t *testing.T, cfg *config.Config, b *bus.Bus) (*stream.Stream, func(series string) float64) {
	t.Helper()
	m := obs.NewMetrics("vad", "test")
	s, err := stream.New(t.Context(), "s", cfg, b, slog.New(slog.DiscardHandler), m, loudness{}, func(string, bool) {})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s, func(series string) float64 { t.Helper(); return testkit.Metric(t, m.Registry, series) }
}

func feed(t *testing.T, s *stream.Stream, all []*rtapv1.Frame) {
	t.Helper()
	for _, f := range all {
		if err := s.Take(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
}

func jobs(t *testing.T, b *bus.Bus) (out []*rtapv1.FinalJob) {
	t.Helper()
	read(t, b, bus.StreamJobs, func(m *jetstream.RawStreamMsg) {
		j := &rtapv1.FinalJob{}
		if err := proto.Unmarshal(m.Data, j); err != nil {
			t.Fatal(err)
		}
		out = append(out, j)
	})
	return out
}

func markers(t *testing.T, b *bus.Bus) (out []rtapv1.Result_Kind) {
	t.Helper()
	read(t, b, bus.StreamResults, func(m *jetstream.RawStreamMsg) {
		r := &rtapv1.Result{}
		if err := proto.Unmarshal(m.Data, r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r.GetKind())
	})
	return out
}

func read(t *testing.T, b *bus.Bus, name string, each func(*jetstream.RawStreamMsg)) {
	t.Helper()
	s, err := b.JS().Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	state := s.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq && state.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		each(m)
	}
}

const talk = "....######........##########........$"

func ordinals(js []*rtapv1.FinalJob) (out []uint64) {
	for _, j := range js {
		out = append(out, j.GetOrdinal())
	}
	return out
}

func TestSegmentsAndMarkers(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	s := open(t, cfg, b)
	feed(t, s, frames(1, 0, talk))
	js := jobs(t, b)
	if !slices.Equal(ordinals(js), []uint64{1, 3}) {
		t.Fatalf("ordinals %v", ordinals(js))
	}
	// Speech is frames 4 to 9; two of pre-roll, two of tail.
	if sp := js[0].GetSpan(); sp.GetStartSample() != 2*512 || sp.GetEndSample() != 12*512 || len(js[0].GetPcm()) != 10*1024 {
		t.Errorf("span %v with %d bytes", sp, len(js[0].GetPcm()))
	}
	if js[0].GetUtteranceId() != "s-1-1" || js[1].GetUtteranceId() != "s-1-3" || !js[0].GetSpeechFinal() || len(js[0].GetTraceparent()) != 55 {
		t.Errorf("jobs %v %v", js[0].GetUtteranceId(), js[1].GetUtteranceId())
	}
	want := []rtapv1.Result_Kind{rtapv1.Result_KIND_UTTERANCE_END, rtapv1.Result_KIND_UTTERANCE_END, rtapv1.Result_KIND_STREAM_END}
	if got := markers(t, b); !slices.Equal(got, want) {
		t.Errorf("markers %v", got)
	}
	if !s.Ended() {
		t.Error("the stream has not ended")
	}
}

func TestSuccessorNeitherLosesNorDoubles(t *testing.T) {
	cfg := settings()
	reference := testkit.Bus(t, cfg)
	feed(t, open(t, cfg, reference), frames(1, 0, talk))
	want := jobs(t, reference)
	for cut := range len(talk) {
		cfg := settings()
		b := testkit.Bus(t, cfg)
		all := frames(1, 0, talk)
		store(t, b, all)
		feed(t, open(t, cfg, b), all[:cut])
		feed(t, open(t, cfg, b), all)
		got := jobs(t, b)
		if !slices.Equal(ordinals(got), ordinals(want)) {
			t.Fatalf("cut at %d: ordinals %v, want %v", cut, ordinals(got), ordinals(want))
		}
		for i := range got {
			if !proto.Equal(got[i].GetSpan(), want[i].GetSpan()) || len(got[i].GetPcm()) != len(want[i].GetPcm()) {
				t.Errorf("cut at %d: job %d is %v, want %v", cut, i+1, got[i].GetSpan(), want[i].GetSpan())
			}
		}
		if got := len(markers(t, b)); got != 3 {
			t.Errorf("cut at %d: %d markers, want 3", cut, got)
		}
	}
}

// TestReleasedMarkerIsNotStoredAgain: who takes an ended stream over finds its end in the log.
func TestReleasedMarkerIsNotStoredAgain(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	feed(t, open(t, cfg, b), frames(1, 0, talk))
	cp, _, err := b.LoadCheckpoint(t.Context(), "s")
	if err != nil || !cp.GetEnded() {
		t.Fatalf("checkpoint %v: %v", cp, err)
	}
	end := &rtapv1.StreamEnd{Type: "StreamEnd", Rtap: &rtapv1.MarkerRtap{StreamId: "s", Ordinal: uint32(cp.GetOrdinal())}}
	if _, err := b.StoreFinal(t.Context(), wire.Entry{StreamEnd: end}, 0); err != nil {
		t.Fatal(err)
	}
	purge(t, b, bus.StreamResults)
	open(t, cfg, b)
	if got := markers(t, b); len(got) != 0 {
		t.Errorf("stored again: %v", got)
	}
}

// closedOnce returns a bus on which all of talk is stored and its first segment closed; rings
// are short.
func closedOnce(t *testing.T) (*config.Config, *bus.Bus, []*rtapv1.Frame) {
	t.Helper()
	cfg := settings()
	cfg.Audio.RingBufferSizeMS = 200
	b := testkit.Bus(t, cfg)
	all := frames(1, 0, talk)
	store(t, b, all)
	feed(t, open(t, cfg, b), all[:15])
	return cfg, b, all
}

func TestLostPublicationIsMadeUp(t *testing.T) {
	cfg, b, _ := closedOnce(t)
	purge(t, b, bus.StreamJobs)
	cp, _, err := b.LoadCheckpoint(t.Context(), "s")
	if err != nil || cp.GetBoundary().GetOrdinal() != 1 {
		t.Fatalf("checkpoint %v %v", cp, err)
	}
	purge(t, b, bus.StreamAudio)
	open(t, cfg, b)
	if got := markers(t, b); !slices.Equal(got, []rtapv1.Result_Kind{rtapv1.Result_KIND_DEAD}) {
		t.Errorf("audio expired: results %v, want one dead", got)
	}
}

// TestMissingAudioIsAwaitedWhileSomebodyCaptures: a server with a full disk takes nothing for
// longer than a ring, and what capture has is not lost.
func TestMissingAudioIsAwaitedWhileSomebodyCaptures(t *testing.T) {
	cfg, b, all := closedOnce(t)
	purge(t, b, bus.StreamAudio)
	leases, key := b.Leases(), lease.Capture("s")
	revision, err := leases.Create(t.Context(), key, []byte("somebody"))
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 20 { // five rings long
			time.Sleep(50 * time.Millisecond)
			if revision, err = leases.Update(t.Context(), key, []byte("somebody"), revision); err != nil {
				t.Error(err)
				return
			}
		}
		store(t, b, all)
	}()
	open(t, cfg, b)
	<-sent
	if got := markers(t, b); len(got) != 0 {
		t.Errorf("results %v, want none", got)
	}
}

func purge(t *testing.T, b *bus.Bus, name string) {
	t.Helper()
	s, err := b.JS().Stream(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestRepeatsGapsAndEpochs(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	s := open(t, cfg, b)
	first := frames(5, 0, "..####")
	feed(t, s, first)
	feed(t, s, first)                       // repeats
	feed(t, s, frames(4, 0, "########"))    // a lower epoch
	feed(t, s, frames(5, 16, "####......")) // ten frames are missing
	feed(t, s, frames(6, 0, "..####......$"))
	js := jobs(t, b)
	if len(js) != 3 {
		t.Fatalf("%d jobs", len(js))
	}
	if js[1].GetGapMs() != 320 || js[0].GetGapMs() != 0 || js[2].GetGapMs() != 0 {
		t.Errorf("gaps %d %d %d", js[0].GetGapMs(), js[1].GetGapMs(), js[2].GetGapMs())
	}
	if js[1].GetSpan().GetStartSample() < 16*512 || js[2].GetSpan().GetEpoch() != 6 || js[2].GetOrdinal() <= js[1].GetOrdinal() {
		t.Errorf("spans %v %v", js[1].GetSpan(), js[2].GetSpan())
	}
}

func TestAnotherHolderIsRefused(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	sleeper := open(t, cfg, b)
	feed(t, sleeper, frames(1, 0, "..##"))
	cp, rev, err := b.LoadCheckpoint(t.Context(), "s")
	if err != nil || cp != nil {
		t.Fatalf("%v %v", cp, err)
	}
	if _, err := b.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{StreamId: "s", Writer: "other", Ordinal: 9}, rev); err != nil {
		t.Fatal(err)
	}
	var refused error
	for _, f := range frames(1, 4, "####......") {
		if refused = sleeper.Take(t.Context(), f); refused != nil {
			break
		}
	}
	if !errors.Is(refused, stream.ErrTaken) || len(jobs(t, b)) != 0 {
		t.Errorf("got %v and %d jobs", refused, len(jobs(t, b)))
	}
}
