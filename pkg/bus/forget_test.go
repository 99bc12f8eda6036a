package bus_test

import (
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// TestForgetEnded: only what ended long ago and has not begun again loses its checkpoint.
func TestForgetEnded(t *testing.T) {
	b := testkit.Bus(t, nil)
	long, now := timestamppb.New(time.Now().Add(-2*time.Hour)), timestamppb.Now()
	for _, cp := range []*rtapv1.Checkpoint{
		{StreamId: "long", Epoch: 1, Ended: true, WrittenAt: long},
		{StreamId: "again", Epoch: 1, Ended: true, WrittenAt: long},
		{StreamId: "lately", Epoch: 1, Ended: true, WrittenAt: now},
		{StreamId: "open", Epoch: 1, WrittenAt: long},
	} {
		if _, err := b.StoreCheckpoint(t.Context(), cp, 0); err != nil {
			t.Fatal(err)
		}
	}
	data, err := proto.Marshal(&rtapv1.Frame{StreamId: "again", Epoch: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.JS().Publish(t.Context(), bus.Audio("again"), data); err != nil {
		t.Fatal(err)
	}
	gone, err := b.ForgetEnded(t.Context(), time.Hour)
	if err != nil || !slices.Equal(gone, []string{"long"}) {
		t.Fatalf("forgotten %v: %v", gone, err)
	}
	for id, want := range map[string]bool{"long": false, "again": true, "lately": true, "open": true} {
		if cp, _, err := b.LoadCheckpoint(t.Context(), id); err != nil || (cp != nil) != want {
			t.Errorf("checkpoint of %s: %v %v", id, cp, err)
		}
	}
}

// TestForgetEpoch: the newest epoch is forgotten when neither a checkpoint nor audio is left, and not before.
func TestForgetEpoch(t *testing.T) {
	b := testkit.Bus(t, nil)
	for _, id := range []string{"gone", "open", "stored"} {
		if _, err := b.NewEpoch(t.Context(), id, "mic", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{StreamId: "open", Epoch: 1, WrittenAt: timestamppb.Now()}, 0); err != nil {
		t.Fatal(err)
	}
	data, err := proto.Marshal(&rtapv1.Frame{StreamId: "stored", Epoch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.JS().Publish(t.Context(), bus.Audio("stored"), data); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  map[string]uint64
	}{
		{time.Hour, map[string]uint64{"gone": 1, "open": 1, "stored": 1}},
		{0, map[string]uint64{"gone": 0, "open": 1, "stored": 1}},
	} {
		if _, err := b.ForgetEnded(t.Context(), tt.after); err != nil {
			t.Fatal(err)
		}
		for id, want := range tt.want {
			if newest, err := b.NewestEpoch(t.Context(), id); err != nil || newest.Number != want {
				t.Errorf("after %v the newest epoch of %s is %d, %v, want %d", tt.after, id, newest.Number, err, want)
			}
		}
	}
	if epoch, err := b.NewEpoch(t.Context(), "gone", "mic", ""); err != nil || epoch != 1 {
		t.Errorf("a stream that comes back begins with epoch %d, %v", epoch, err)
	}
}
