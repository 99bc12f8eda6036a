package simulation_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rtap/rtap/test/simulation"
)

var (
	seed      = flag.Uint64("seed", 0, "run the schedule of this seed alone, with the processes' logs")
	schedules = flag.Int("schedules", 200, "how many schedules to run")
	every     = flag.Bool("every", false, "go on after a broken invariant")
)

func TestSchedules(t *testing.T) {
	if *seed != 0 {
		run(t, *seed, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})))
		return
	}
	for n := range uint64(*schedules) {
		run(t, n+1, nil)
		if t.Failed() && !*every {
			t.Logf("after %d schedules", n+1)
			return
		}
	}
}

func run(t *testing.T, seed uint64, log *slog.Logger) {
	t.Run(fmt.Sprint(seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			out := simulation.Run(seed, simulation.Options{Frames: 120, Log: log})
			t.Logf("seed %d: %+v in %v", seed, out, time.Since(began))
			if out.Broken != "" {
				t.Errorf("seed %d: %s\nagain: go test ./test/simulation -run TestSchedules -seed %d", seed, out.Broken, seed)
			}
		})
	})
}
