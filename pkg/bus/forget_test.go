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
