package bus_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
)

func TestSettings(t *testing.T) {
	b := testkit.Bus(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := make(chan map[string]string, 8)
	watched, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	if _, err := b.SetSetting(ctx, "stt.model", "a"); err != nil {
		t.Fatal(err)
	}
	go func() {
		done <- b.WatchSettings(watched, b.Reconnected(), func(m map[string]string, _ uint64) { seen <- m })
	}()
	expect := func(want map[string]string) {
		t.Helper()
		select {
		case got := <-seen:
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("no change, want %v", want)
		}
	}
	expect(map[string]string{"stt.model": "a"})
	if _, err := b.SetSetting(ctx, "stt.threads", "2"); err != nil {
		t.Fatal(err)
	}
	expect(map[string]string{"stt.model": "a", "stt.threads": "2"})
	for _, key := range []string{"stt.model", "stt.language"} {
		if _, err := b.UnsetSetting(ctx, key); err != nil {
			t.Errorf("unset %s: %v", key, err)
		}
	}
	expect(map[string]string{"stt.threads": "2"})
	if got, err := b.Settings(ctx); err != nil || !maps.Equal(got, map[string]string{"stt.threads": "2"}) {
		t.Errorf("listed %v, %v", got, err)
	}
	stop()
	if err := <-done; err == nil {
		t.Error("the watch ended without a reason")
	}
}
