package bus_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

func TestEpochsAreGivenOutOnceAndOnlyHigher(t *testing.T) {
	b := testkit.Bus(t, nil)
	seen := map[uint64]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := 0; n < 5; {
				epoch, err := b.NewEpoch(t.Context(), "s", "file:a.wav", "run")
				if errors.Is(err, bus.ErrConflict) {
					continue // somebody else got one
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if seen[epoch] {
					t.Errorf("epoch %d twice", epoch)
				}
				seen[epoch] = true
				mu.Unlock()
				n++
			}
		})
	}
	wg.Wait()
	if len(seen) != 40 {
		t.Errorf("%d epochs, want 40", len(seen))
	}
	if newest, err := b.NewestEpoch(t.Context(), "s"); err != nil || newest != (bus.Epoch{Number: 40, Source: "file:a.wav", Run: "run"}) {
		t.Errorf("the newest is %+v, %v", newest, err)
	}
	// A checkpoint of an older version may know a higher one.
	if _, err := b.StoreCheckpoint(t.Context(), &rtapv1.Checkpoint{StreamId: "s", Epoch: 100}, 0); err != nil {
		t.Fatal(err)
	}
	if newest, err := b.NewestEpoch(t.Context(), "s"); err != nil || newest != (bus.Epoch{Number: 100}) {
		t.Errorf("the newest is %+v, %v", newest, err)
	}
	if epoch, err := b.NewEpoch(t.Context(), "s", "file:a.wav", "run"); err != nil || epoch != 101 {
		t.Errorf("epoch %d, %v, want 101", epoch, err)
	}
}
