package control

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"

	"github.com/google/pprof/profile"
)

// MaxProfile is the longest time that one profile may cover.
const MaxProfile = 10 * time.Minute

// take gives one in the form of pprof (gzipped protobuf), or as text where asked. One
// that covers a time ends early, with what it has, when ctx does.
func take(ctx context.Context, q url.Values) ([]byte, error) {
	length := 10 * time.Second
	if text := q.Get("seconds"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if length = time.Duration(n * float64(time.Second)); err != nil || length <= 0 || length > MaxProfile {
			return nil, fmt.Errorf("seconds=%q: want a number above 0, at most %.0f", text, MaxProfile.Seconds())
		}
	}
	switch kind := q.Get("kind"); kind {
	case "cpu":
		return cpuProfile(ctx, length)
	case "heap", "allocs":
		runtime.GC() // what nobody uses any more is no use of memory
		return lookup(kind, 0)
	case "goroutines":
		if q.Get("text") == "true" {
			return lookup("goroutine", 2)
		}
		return lookup("goroutine", 0)
	case "mutex":
		return contention(ctx, "mutex", length, func(rate int) { runtime.SetMutexProfileFraction(rate) })
	case "block":
		return contention(ctx, "block", length, runtime.SetBlockProfileRate)
	default:
		return nil, fmt.Errorf("kind=%q: want cpu, heap, allocs, goroutines, mutex or block", kind)
	}
}

func lookup(name string, debug int) ([]byte, error) {
	p := pprof.Lookup(name)
	if p == nil {
		return nil, fmt.Errorf("this build has no %s profile", name)
	}
	var out bytes.Buffer
	if err := p.WriteTo(&out, debug); err != nil {
		return nil, fmt.Errorf("writing the %s profile: %w", name, err)
	}
	return out.Bytes(), nil
}

func cpuProfile(ctx context.Context, length time.Duration) ([]byte, error) {
	var out bytes.Buffer
	if err := pprof.StartCPUProfile(&out); err != nil {
		return nil, fmt.Errorf("a CPU profile of this process is being taken already: %w", err)
	}
	sleep(ctx, length)
	pprof.StopCPUProfile()
	return out.Bytes(), nil
}

var contending sync.Mutex

// contention counts waits for a while; the runtime does not otherwise. It never forgets
// what it has counted, so what was there before is taken off.
func contention(ctx context.Context, name string, length time.Duration, rate func(int)) ([]byte, error) {
	if !contending.TryLock() {
		return nil, errors.New("such a profile of this process is being taken already")
	}
	defer contending.Unlock()
	before, err := lookup(name, 0)
	if err != nil {
		return nil, err
	}
	rate(1)
	sleep(ctx, length)
	rate(0)
	after, err := lookup(name, 0)
	if err != nil {
		return nil, err
	}
	return less(after, before)
}

// less takes the values of one profile off those of a later one.
func less(after, before []byte) ([]byte, error) {
	late, err := profile.ParseData(after)
	if err != nil {
		return nil, fmt.Errorf("reading a profile: %w", err)
	}
	early, err := profile.ParseData(before)
	if err != nil {
		return nil, fmt.Errorf("reading a profile: %w", err)
	}
	early.Scale(-1)
	both, err := profile.Merge([]*profile.Profile{late, early})
	if err != nil {
		return nil, fmt.Errorf("comparing profiles: %w", err)
	}
	var out bytes.Buffer
	if err := both.Write(&out); err != nil {
		return nil, fmt.Errorf("writing the difference: %w", err)
	}
	return out.Bytes(), nil
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
