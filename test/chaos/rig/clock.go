package rig

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// clockEnv names the file that says by how much the wall clock of a program is off, where it was
// built for that (test/chaos/wallclock). Others do not look.
const clockEnv = "RTAP_CHAOS_CLOCK"

func (r *Rig) clock() string { return filepath.Join(r.Dir, "clock") }

// SetClock puts the wall clock of all processes, those that run too, so far from the machine's.
func (r *Rig) SetClock(off time.Duration) error {
	f, err := os.OpenFile(r.clock(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	// In place: who runs has the file mapped.
	_, err = f.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(int64(off.Seconds()))), 0)
	if end := f.Close(); err == nil {
		err = end
	}
	if err != nil {
		return fmt.Errorf("setting the clock: %w", err)
	}
	return nil
}

// near is t by a clock that is within half an hour of now's: steps of the clock are whole hours.
func near(t, now time.Time) time.Time {
	return t.Add(now.Sub(t).Round(time.Hour))
}
