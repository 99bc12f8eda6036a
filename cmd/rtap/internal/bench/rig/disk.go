package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Stored is what one of the server's streams holds, and how many messages it ever took.
type Stored struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	Taken    uint64 `json:"taken"`
}

// Storage asks the server what each of its streams holds.
func (p *Pipeline) Storage(ctx context.Context) (map[string]Stored, error) {
	out := map[string]Stored{}
	list := p.Bus.JS().ListStreams(ctx)
	for info := range list.Info() {
		out[info.Config.Name] = Stored{Messages: info.State.Msgs, Bytes: info.State.Bytes, Taken: info.State.LastSeq}
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("asking what is stored: %w", err)
	}
	return out, nil
}

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
