package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Fsync measures how long the disk of a folder takes to keep 4 KiB, so many times.
func Fsync(dir string, times int) ([]time.Duration, error) {
	path := filepath.Join(dir, "rtap-bench-fsync")
	f, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("measuring the disk: %w", err)
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(path)
	}()
	block := make([]byte, 4096)
	var out []time.Duration
	for range times {
		began := time.Now()
		if _, err := f.Write(block); err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return nil, fmt.Errorf("measuring the disk: %w", err)
		}
		out = append(out, time.Since(began))
	}
	return out, nil
}
