package machine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// ClockSynchronised says whether the kernel's wall clock is kept right by a time service.
// Some containers may not ask; that is an error.
func ClockSynchronised() (bool, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return false, fmt.Errorf("asking the kernel's clock: %w", err)
	}
	return state != unix.TIME_ERROR && t.Status&unix.STA_UNSYNC == 0, nil
}

// OpenFiles returns how many files a process started here may open.
func OpenFiles() (uint64, error) {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("asking for the limit of open files: %w", err)
	}
	return limit.Cur, nil
}
