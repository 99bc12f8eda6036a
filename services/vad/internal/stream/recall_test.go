package stream_test

import (
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// TestSuccessorKnowsWhatWasSaid: wherever a successor takes over, a segment is heard as the
// continuation of the same ones, with the same audio, and a segment that it has to publish
// again too.
func TestSuccessorKnowsWhatWasSaid(t *testing.T) {
	const drawing = "....######.....######.....##########........$"
	all := frames(1, 0, drawing)
	for i, f := range all {
		f.Pcm[0] = byte(i) // so that each frame's audio is its own
	}
	contexts := func(b *bus.Bus) map[uint64]*rtapv1.Context {
		out := map[uint64]*rtapv1.Context{}
		for _, j := range jobs(t, b) {
			out[j.GetOrdinal()] = j.GetContext()
		}
		return out
	}
	cfg := settings()
	b := testkit.Bus(t, cfg)
	feed(t, open(t, cfg, b), all)
	want := contexts(b)
	if len(want) != 3 || len(want[2].GetOrdinals()) != 1 || len(want[3].GetOrdinals()) != 2 {
		t.Fatalf("contexts without a takeover: %v", want)
	}
	for at := 1; at < len(all); at++ {
		cfg := settings()
		b := testkit.Bus(t, cfg)
		store(t, b, all)
		feed(t, open(t, cfg, b), all[:at])
		if at%2 == 0 {
			purge(t, b, bus.StreamJobs) // the last boundary's job was not stored
		}
		s := open(t, cfg, b)
		_, first := s.Position()
		feed(t, s, all[first:])
		for n, got := range contexts(b) {
			if !proto.Equal(got, want[n]) {
				t.Errorf("taken over at frame %d: segment %d continues %v of %v, want %v of %v", at, n, got.GetOrdinals(), got.GetSpan(), want[n].GetOrdinals(), want[n].GetSpan())
			}
		}
	}
}

// TestHoleInWhatWasSaid: a part of the audio has expired, so nothing is continued.
func TestHoleInWhatWasSaid(t *testing.T) {
	all := frames(1, 0, "....######.....######........$")
	cfg := settings()
	b := testkit.Bus(t, cfg)
	feed(t, open(t, cfg, b), all[:16])
	s := open(t, cfg, b)
	if _, first := s.Position(); first == 0 || first >= 14 {
		t.Fatalf("reads from frame %d on", first)
	}
	feed(t, s, all[9:])
	js := jobs(t, b)
	if last := js[len(js)-1]; last.GetOrdinal() != 2 || last.GetContext() != nil {
		t.Errorf("continues %v", last.GetContext().GetSpan())
	}
}
