package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
)

// residentMB returns this process's resident memory, without what Go could give back.
func residentMB() (float64, error) {
	debug.FreeOSMemory()
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("reading the process's memory: %w", err)
	}
	for line := range bytes.Lines(raw) {
		value, ok := bytes.CutPrefix(line, []byte("VmRSS:"))
		if !ok {
			continue
		}
		kb, err := strconv.ParseFloat(string(bytes.TrimSuffix(bytes.TrimSpace(value), []byte(" kB"))), 64)
		if err != nil {
			return 0, fmt.Errorf("reading the process's memory: %w", err)
		}
		return kb / 1024, nil
	}
	return 0, fmt.Errorf("reading the process's memory: /proc/self/status has no VmRSS")
}
