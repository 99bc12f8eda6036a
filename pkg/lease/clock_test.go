package lease_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/pkg/lease"
)

// bucket is a store in memory with the clock of the test, which may be cut off. Its wall clock may be
// set back: what stands in it then stays that much longer.
type bucket struct {
	mu       sync.Mutex
	back     time.Duration
	revision uint64
	entries  map[string]entry
	watchers map[int]func(string, bool)
}

type entry struct {
	value    []byte
	revision uint64
	at       time.Time
}

var errLink = errors.New("the link is cut")

func newBucket() *bucket {
	return &bucket{entries: map[string]entry{}, watchers: map[int]func(string, bool){}}
}

// as gives the bucket as it is seen over a link, which is called on the way there and on
// the way back of each request.
func (b *bucket) as(link func(ctx context.Context) error) lease.Store {
	return &client{b, link}
}

type client struct {
	b    *bucket
	link func(ctx context.Context) error
}

var _ lease.Store = (*client)(nil)

func (c *client) do(ctx context.Context, f func() error) error {
	if err := c.link(ctx); err != nil {
		return err
	}
	c.b.mu.Lock()
	for key, e := range c.b.entries {
		if time.Since(e.at)-c.b.back >= lease.TTL {
			delete(c.b.entries, key)
		}
	}
	err := f()
	c.b.mu.Unlock()
	return errors.Join(c.link(ctx), err)
}

func (c *client) put(key string, value []byte, last uint64) (revision uint64, err error) {
	if c.b.entries[key].revision != last {
		return 0, lease.ErrTaken
	}
	c.b.revision++
	c.b.entries[key] = entry{value, c.b.revision, time.Now().Add(-c.b.back)}
	for _, w := range c.b.watchers {
		w(key, false)
	}
	return c.b.revision, nil
}

func (c *client) Create(ctx context.Context, key string, value []byte) (revision uint64, err error) {
	err = c.do(ctx, func() (err error) { revision, err = c.put(key, value, 0); return err })
	return revision, err
}

func (c *client) Update(ctx context.Context, key string, value []byte, last uint64) (revision uint64, err error) {
	err = c.do(ctx, func() (err error) { revision, err = c.put(key, value, last); return err })
	return revision, err
}

func (c *client) Delete(ctx context.Context, key string, last uint64) error {
	return c.do(ctx, func() error {
		if c.b.entries[key].revision != last {
			return lease.ErrTaken
		}
		delete(c.b.entries, key)
		for _, w := range c.b.watchers {
			w(key, true)
		}
		return nil
	})
}

func (c *client) Get(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	err = c.do(ctx, func() error {
		e, ok := c.b.entries[key]
		if !ok {
			return lease.ErrFree
		}
		value, revision = e.value, e.revision
		return nil
	})
	return value, revision, err
}

func (c *client) Made(ctx context.Context) (time.Time, error) {
	return time.UnixMilli(1), c.do(ctx, func() error { return nil })
}

func (c *client) Watch(key string, changed func(bool)) (func(), error) {
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	id := len(c.b.watchers)
	for c.b.watchers[id] != nil {
		id++
	}
	c.b.watchers[id] = func(k string, released bool) {
		if k == key {
			changed(released)
		}
	}
	return func() {
		c.b.mu.Lock()
		defer c.b.mu.Unlock()
		delete(c.b.watchers, id)
	}, nil
}

func fine(context.Context) error { return nil }

func dead(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestHolderKnowsBeforeOthers: with requests that hang, that fail, or whose answers alone
// are lost, the holder gives up before another can have the lease.
func TestHolderKnowsBeforeOthers(t *testing.T) {
	for name, trouble := range map[string]func(context.Context) error{
		"hangs": dead,
		"fails": func(context.Context) error { return errLink },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBucket()
				var broken sync.Map
				k := keeper(b.as(func(ctx context.Context) error {
					if _, yes := broken.Load("now"); yes {
						return trouble(ctx)
					}
					return nil
				}), "key", "a", nil)
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				var gone atomic.Bool
				go func() {
					done <- k.Do(ctx, func(ctx context.Context, _ lease.Token) error {
						<-ctx.Done()
						gone.Store(true)
						return ctx.Err()
					})
				}()
				time.Sleep(10 * time.Second)
				if _, held := k.Held(); !held {
					t.Fatal("not held although all is well")
				}
				broken.Store("now", true)
				cut := time.Now()
				err := keeper(b.as(fine), "key", "b", nil).Do(t.Context(), func(context.Context, lease.Token) error {
					if !gone.Load() {
						t.Error("two hold it")
					}
					if waited := time.Since(cut); waited > lease.TTL+2*lease.PollEvery {
						t.Errorf("taken after %v", waited)
					}
					return nil
				})
				if err := <-done; !errors.Is(err, lease.ErrLost) {
					t.Errorf("ended with %v", err)
				}
				cancel()
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// setBack sets the server's clock back.
func (b *bucket) setBack(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.back += d
}

// TestClockSetBack: the holder dies just as the server's clock is set back by an hour, and
// another has the lease long before that hour is over.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		var died atomic.Bool
		go func() {
			_ = keeper(b.as(func(ctx context.Context) error {
				if died.Load() {
					return dead(ctx)
				}
				return nil
			}), "key", "a", nil).Do(t.Context(), lease.Wait)
		}()
		time.Sleep(5 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		took := make(chan time.Time, 1)
		go func() {
			_ = keeper(b.as(fine), "key", "b", nil).Do(ctx, func(context.Context, lease.Token) error {
				took <- time.Now()
				return nil
			})
			close(took)
		}()
		time.Sleep(5 * time.Second)
		died.Store(true)
		b.setBack(time.Hour)
		at := time.Now()
		if then, ok := <-took; !ok {
			t.Error("nobody takes it")
		} else if waited := then.Sub(at); waited > 3*lease.TTL {
			t.Errorf("taken after %v", waited)
		}
	})
}

// TestReleaseIsHeard: a hand-over takes no poll.
func TestReleaseIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- keeper(b.as(fine), "key", "a", nil).Keep(ctx, lease.Wait) }()
		time.Sleep(time.Second)
		took := make(chan time.Time, 1)
		go func() {
			done <- keeper(b.as(fine), "key", "b", nil).Do(t.Context(), func(context.Context, lease.Token) error {
				took <- time.Now()
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		released := time.Now()
		cancel()
		if waited := (<-took).Sub(released); waited > 0 {
			t.Errorf("taken %v after the release", waited)
		}
		if err := errors.Join(<-done, <-done); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestOthers: who has lost a lease knows of no other holder until it sees one, and who waits
// still knows of the last one while nothing can be seen.
func TestOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBucket()
		var cutOff [2]atomic.Bool
		var keepers [2]*lease.Keeper
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range keepers {
			keepers[i] = keeper(b.as(func(ctx context.Context) error {
				if cutOff[i].Load() {
					return dead(ctx)
				}
				return nil
			}), "key", string(rune('a'+i)), nil)
			wg.Go(func() { _ = keepers[i].Keep(ctx, lease.Wait) })
			time.Sleep(time.Second)
		}
		for _, step := range []struct {
			what  string
			cut   [2]bool
			first bool // the first one holds it
			want  [2]bool
		}{
			{"both see it", [2]bool{}, true, [2]bool{false, true}},
			{"nobody sees it", [2]bool{true, true}, false, [2]bool{false, true}},
			{"the second one alone", [2]bool{true, false}, false, [2]bool{false, false}},
			{"both again", [2]bool{}, false, [2]bool{true, false}},
		} {
			for i, yes := range step.cut {
				cutOff[i].Store(yes)
			}
			time.Sleep(3 * time.Second)
			if _, held := keepers[0].Held(); held != step.first {
				t.Errorf("%s: the first one holds it: %v", step.what, held)
			}
			for i, k := range keepers {
				if k.Others() != step.want[i] {
					t.Errorf("%s: keeper %d says %v", step.what, i, k.Others())
				}
			}
		}
		cancel()
		wg.Wait()
	})
}

// TestManySchedules: whatever the links do, and whenever the server's clock is set back, two never hold the lease at once, and it is
// always held again soon after the links are well.
func TestManySchedules(t *testing.T) {
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) {
			b := newBucket()
			var mu sync.Mutex
			r := rand.New(rand.NewPCG(seed, 1))
			n := func(limit int) int { mu.Lock(); defer mu.Unlock(); return r.IntN(limit) }
			quiet := false
			link := func(ctx context.Context) error {
				if seed%2 == 1 && n(50) == 0 {
					b.setBack(time.Minute)
				}
				delay, fate := time.Duration(n(int(20*time.Millisecond))), n(20)
				mu.Lock()
				well := quiet
				mu.Unlock()
				switch {
				case well:
				case fate == 0:
					return errLink
				case fate == 1:
					return dead(ctx)
				case fate == 2:
					delay = time.Duration(n(int(2 * time.Second)))
				}
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(delay):
					return nil
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			var holders, terms int
			keepers := make([]*lease.Keeper, 3)
			for i := range keepers {
				keepers[i] = keeper(b.as(link), "key", string(rune('a'+i)), nil)
				wg.Go(func() {
					for ctx.Err() == nil {
						_ = keepers[i].Do(ctx, func(ctx context.Context, _ lease.Token) error {
							mu.Lock()
							holders++
							terms++
							if holders > 1 {
								t.Errorf("seed %d: two hold it", seed)
							}
							mu.Unlock()
							select {
							case <-ctx.Done():
							case <-time.After(time.Duration(n(int(5 * time.Second)))):
							}
							mu.Lock()
							holders--
							mu.Unlock()
							return nil
						})
					}
				})
			}
			time.Sleep(30 * time.Second)
			mu.Lock()
			quiet, terms = true, 0
			mu.Unlock()
			time.Sleep(20 * time.Second)
			mu.Lock()
			if terms < 2 {
				t.Errorf("seed %d: %d terms after the links were well", seed, terms)
			}
			mu.Unlock()
			cancel()
			wg.Wait()
		})
	}
}

// TestRenewal: a lease that stands unchanged is not taken for one whose holder lives, unless who looks was
// away itself.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r lease.Renewal
		look := func(revision uint64, n int, every time.Duration) (goes bool) {
			for range n {
				time.Sleep(every)
				goes = r.Goes([]byte("a"), revision)
			}
			return goes
		}
		for revision := range uint64(20) {
			if !look(revision, 3, 100*time.Millisecond) {
				t.Fatalf("revision %d is one of a holder that renews", revision)
			}
		}
		if !look(20, 10, 100*time.Millisecond) {
			t.Error("not renewed for a second")
		}
		if look(20, 10, 100*time.Millisecond) {
			t.Error("not renewed for two seconds")
		}
		if !look(20, 1, 5*time.Second) {
			t.Error("who has not looked for five seconds cannot tell")
		}
		if look(20, 20, 100*time.Millisecond) {
			t.Error("not renewed for two seconds more")
		}
		if !look(21, 1, 100*time.Millisecond) {
			t.Error("renewed")
		}
	})
}
