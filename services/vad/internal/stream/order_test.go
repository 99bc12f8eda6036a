package stream_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// spans gives the jobs' spans, in frames.
func spans(js []*rtapv1.FinalJob) (out [][2]uint64) {
	for _, j := range js {
		out = append(out, [2]uint64{j.GetSpan().GetStartSample() / 512, j.GetSpan().GetEndSample() / 512})
	}
	return out
}

// store puts frames into RTAP_AUDIO.
func store(t *testing.T, b *bus.Bus, all []*rtapv1.Frame) {
	t.Helper()
	for _, f := range all {
		data, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.JS().Publish(t.Context(), bus.Audio("s"), data); err != nil {
			t.Fatal(err)
		}
	}
}

// listen collects the detector's events.
func listen(t *testing.T, b *bus.Bus, events chan<- *rtapv1.ServiceEvent) {
	t.Helper()
	stop, err := b.Subscribe(bus.Event("vad", "*"), func(m *nats.Msg) {
		e := &rtapv1.ServiceEvent{}
		if wire.UnmarshalJSON(m.Data, e) == nil {
			events <- e
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// TestOrderOfArrivalDoesNotMatter: a frame that was refused, or lost with a server, comes
// later, with repeats of what followed it.
func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	all := frames(1, 0, talk)
	reference := settings()
	plain := testkit.Bus(t, reference)
	feed(t, open(t, reference, plain), all)
	want := spans(jobs(t, plain))
	for name, order := range map[string][]*rtapv1.Frame{
		"one late":            slices.Concat(all[:6], all[7:12], all[6:7], all[12:]),
		"two holes":           slices.Concat(all[:5], all[6:9], all[10:14], all[9:10], all[5:6], all[14:]),
		"sent again":          slices.Concat(all[:5], all[8:20], all[5:20], all[20:]),
		"the first":           slices.Concat(all[1:4], all[:1], all[4:]),
		"the end before all":  slices.Concat(all[:5], all[len(all)-1:], all[5:]),
		"backwards in blocks": slices.Concat(all[20:], all[10:20], all[:10]),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			b := testkit.Bus(t, cfg)
			s := open(t, cfg, b)
			feed(t, s, order)
			if got := spans(jobs(t, b)); !slices.Equal(got, want) || !s.Ended() {
				t.Errorf("segments %v, want %v; ended %v", got, want, s.Ended())
			}
		})
	}
}

// TestWhatCaptureGivesUpIsAGap: nothing waits for audio that capture says is lost, nor for
// longer than capture could send it again.
func TestWhatCaptureGivesUpIsAGap(t *testing.T) {
	said := frames(1, 20, "..####......")
	said[0].GapMs, said[0].GapReason = 320, "outage"
	for name, tt := range map[string]struct {
		after []*rtapv1.Frame
		ring  int
		idle  bool
	}{
		"capture says so":       {said, 600000, false},
		"no frame comes":        {frames(1, 20, "..####......"), 600000, true},
		"the ring is too short": {frames(1, 20, "..####......"), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			cfg.Audio.RingBufferSizeMS = tt.ring
			b := testkit.Bus(t, cfg)
			events := make(chan *rtapv1.ServiceEvent, 8)
			listen(t, b, events)
			s := open(t, cfg, b)
			feed(t, s, frames(1, 0, "..####...."))
			for _, f := range tt.after {
				feed(t, s, []*rtapv1.Frame{f})
				time.Sleep(2 * time.Millisecond)
			}
			if tt.idle {
				if n := len(jobs(t, b)); n != 1 {
					t.Errorf("%d segments before the idle time is over, want 1", n)
				}
				if err := s.Idle(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			js := jobs(t, b)
			if len(js) != 2 || js[0].GetGapMs() != 0 || js[1].GetGapMs() != 320 {
				t.Fatalf("segments %v", js)
			}
			if e := <-events; e.GetKind() != "gap" || e.GetAttributes()["gap_ms"] != "320" || e.GetStreamId() != "s" {
				t.Errorf("event %v", e)
			}
		})
	}
}

// TestCheckpointOfAnotherVersion: a neighbouring version wrote what this one cannot read,
// so the detector starts fresh at the boundary; numbers go on.
func TestCheckpointOfAnotherVersion(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	_, err := b.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{
		Version: 99, StreamId: "s", Epoch: 3, NextFrame: 10, Ordinal: 7, ModelState: []byte("not ours"), SegmenterState: []byte("nor this"), Writer: "new",
		Boundary: &rtapv1.Boundary{Kind: rtapv1.Boundary_KIND_SILENCE, Ordinal: 7},
	}, 0)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, open(t, cfg, b), frames(3, 0, "..#######.....####......$"))
	js := jobs(t, b)
	if len(js) != 1 || js[0].GetOrdinal() != 8 || js[0].GetSpan().GetStartSample() < 10*512 {
		t.Errorf("segments %v", js)
	}
}

// TestSuccessorStartsAtItsCheckpoint: what is behind the boundary is not read again.
func TestSuccessorStartsAtItsCheckpoint(t *testing.T) {
	cfg := settings()
	b := testkit.Bus(t, cfg)
	all := frames(1, 0, talk)
	store(t, b, all)
	store(t, b, all[5:]) // sent again
	feed(t, open(t, cfg, b), all[:16])
	s := open(t, cfg, b)
	epoch, frame := s.Position()
	from, err := b.AudioFrom(t.Context(), "s", epoch, frame)
	if err != nil || epoch != 1 || frame == 0 || from <= 1 {
		t.Fatalf("frame %d of epoch %d is at %d: %v", frame, epoch, from, err)
	}
	var behind []*rtapv1.Frame
	read(t, b, bus.StreamAudio, func(m *jetstream.RawStreamMsg) {
		f := &rtapv1.Frame{}
		if err := proto.Unmarshal(m.Data, f); err != nil {
			t.Fatal(err)
		}
		if m.Sequence >= from {
			behind = append(behind, f)
		}
	})
	feed(t, s, behind)
	if got := ordinals(jobs(t, b)); !slices.Equal(got, []uint64{1, 3}) || !s.Ended() {
		t.Errorf("ordinals %v", got)
	}
}
