package lease_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keeper(store lease.Store, key, holder string, notify func(lease.Change)) *lease.Keeper {
	return lease.New(store, lease.Claim{Key: key, Holder: holder, Service: "test"}, slog.New(slog.DiscardHandler), notify)
}

func TestOneAtATime(t *testing.T) {
	b := testkit.Bus(t, nil)
	var inside, together, runs atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			err := keeper(b.Leases(), "key", "holder", nil).Do(t.Context(), func(context.Context, lease.Token) error {
				if inside.Add(1) > 1 {
					together.Add(1)
				}
				time.Sleep(30 * time.Millisecond)
				inside.Add(-1)
				runs.Add(1)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if runs.Load() != 4 || together.Load() > 0 {
		t.Errorf("%d runs, %d at the same time", runs.Load(), together.Load())
	}
}

func TestTokenStaysOverRenewalsAndGrows(t *testing.T) {
	b := testkit.Bus(t, nil)
	k := keeper(b.Leases(), lease.VAD("mic"), "me", nil)
	var before lease.Token
	for range 2 {
		err := k.Do(t.Context(), func(ctx context.Context, token lease.Token) error {
			first := stored(t, b.Leases())
			if first.Key != "vad.mic" || first.GetHolder() != "me" || first.GetService() != "test" || !first.GetTakenAt().IsValid() {
				t.Errorf("stored %v", first)
			}
			if token.Revision <= before.Revision || token.Bucket.IsZero() {
				t.Errorf("token %v after %v", token, before)
			}
			for stored(t, b.Leases()).Revision < first.Revision+3 {
				time.Sleep(10 * time.Millisecond)
			}
			if now, held := k.Held(); !held || now != token || ctx.Err() != nil {
				t.Errorf("token %v held %v, began with %v", now, held, token)
			}
			before = token
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, held := k.Held(); held {
			t.Error("held after its release")
		}
	}
	if all, err := b.Leases().All(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("after the release: %v, %v", all, err)
	}
}

// stored is the only lease that there is.
func stored(t *testing.T, l interface {
	All(context.Context) ([]lease.Held, error)
}) lease.Held {
	t.Helper()
	all, err := l.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("leases %v, %v", all, err)
	}
	return all[0]
}

// TestHolderThatDiesIsSucceeded: what nobody renews expires, and the one who waits has it.
func TestHolderThatDiesIsSucceeded(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	other := testkit.Connect(t, cfg)
	done := make(chan error, 1)
	holding := make(chan struct{})
	go func() {
		done <- keeper(other.Leases(), "gateway", "dies", nil).Do(context.WithoutCancel(t.Context()), func(ctx context.Context, _ lease.Token) error {
			close(holding)
			<-ctx.Done()
			return ctx.Err()
		})
	}()
	<-holding
	other.Conn().Close() // as a cut cable
	taken := false
	if err := keeper(b.Leases(), "gateway", "waits", nil).Do(t.Context(), func(context.Context, lease.Token) error {
		select {
		case err := <-done:
			taken = errors.Is(err, lease.ErrLost)
		case <-time.After(20 * time.Second):
		}
		return nil
	}); err != nil || !taken {
		t.Errorf("the first holder had not given up: %v", err)
	}
}

// TestKeepTakesItAgain: a lease that somebody else stole is lost, and taken again when it is
// free.
func TestKeepTakesItAgain(t *testing.T) {
	b := testkit.Bus(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var mu sync.Mutex
	var seen []string
	k := keeper(b.Leases(), "key", "keeps", func(c lease.Change) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, c.What)
	})
	done := make(chan error, 1)
	go func() { done <- k.Keep(ctx, lease.Wait) }()
	wait := func(held bool) {
		for {
			changed := k.Changed()
			if _, is := k.Held(); is == held {
				return
			}
			select {
			case <-changed:
			case <-time.After(20 * time.Second):
				t.Errorf("never held=%v", held)
				return
			}
		}
	}
	wait(true)
	thief := b.Leases()
	for stolen := false; !stolen; {
		_, last, err := thief.Get(ctx, "key")
		if err != nil {
			t.Fatal(err)
		}
		_, err = thief.Update(ctx, "key", []byte("stolen"), last)
		stolen = err == nil
	}
	wait(false)
	wait(true) // when what the thief wrote has expired
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if got := strings.Join(seen, " "); got != "taken lost taken released" {
		t.Errorf("told of %s", got)
	}
}

// TestServerThatForgets: after a restart of a server that kept nothing the leases are
// taken again, by one.
func TestServerThatForgets(t *testing.T) {
	cfg := config.Default()
	b := testkit.Bus(t, cfg)
	k := keeper(b.Leases(), "key", "a", nil)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	terms := make(chan lease.Token, 8)
	go func() {
		done <- k.Keep(ctx, func(ctx context.Context, token lease.Token) error {
			terms <- token
			return lease.Wait(ctx, token)
		})
	}()
	first := <-terms
	if err := b.JS().DeleteStream(ctx, "KV_rtap_leases"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * lease.RenewEvery)
	if err := b.Setup(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case second := <-terms:
		if second == first || !second.Bucket.After(first.Bucket) {
			t.Errorf("token %v after %v", second, first)
		}
	case <-time.After(20 * time.Second):
		t.Error("not taken again")
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
