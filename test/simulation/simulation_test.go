package simulation_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/rtap/rtap/test/simulation"
	"go.uber.org/goleak"
)

var (
	seed      = flag.Uint64("seed", 0, "run the schedule of this `seed` alone, with what its processes log and all that is stored")
	first     = flag.Uint64("first", 1, "the first `seed` of many")
	schedules = flag.Uint64("schedules", usual, "how many schedules to run")
	every     = flag.Bool("every", false, "go on after a broken invariant")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSchedules(t *testing.T) {
	if *seed != 0 {
		t.Logf("%+v", run(t, *seed, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))))
		return
	}
	var next atomic.Uint64
	var mu sync.Mutex
	var total simulation.Outcome
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for *every || !t.Failed() {
				n := next.Add(1) - 1
				if n >= *schedules {
					return
				}
				out := run(t, *first+n, nil)
				mu.Lock()
				total.Finals += out.Finals
				total.Kills += out.Kills
				total.Stops += out.Stops
				total.Cuts += out.Cuts
				total.Crashes += out.Crashes
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d schedules from seed %d on: %+v", min(next.Load(), *schedules), *first, total)
}

func run(t *testing.T, seed uint64, log *slog.Logger) (out simulation.Outcome) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			out = simulation.Run(seed, simulation.Options{Frames: 120, Log: log})
			if out.Broken != "" {
				t.Errorf("seed %d: %s\nagain: make simulate SEED=%d", seed, out.Broken, seed)
			}
		})
	})
	return out
}
