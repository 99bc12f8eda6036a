package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/machine"
)

// Disk are the facts about the volume that holds the data of `rtap up`.
type Disk struct {
	Dir        string
	Free, Used int64 // bytes; Used is what the data takes already
	Err        error // why Free is not known
	LimitMB    int   // nats.embedded.max_storage_mb
	StreamsMB  int   // the sum of what streams.* reserves
	WriteErr   error
	// Syncs are how long writing 4 KiB to the disk took, several times.
	Syncs []time.Duration
}

const (
	syncs     = 30
	syncLimit = 2 * time.Second // for all of them
	slowSync  = 10 * time.Millisecond
	block     = 4096
)

func (s *Site) disk(ctx context.Context) []Finding {
	if !local(s.Config.NATS.URL) {
		return []Finding{{"disk", Info, "the data is kept by the NATS server, which runs elsewhere; `rtap doctor` there looks at its disk", ""}}
	}
	d := Disk{Dir: s.DataDir, LimitMB: s.Config.NATS.Embedded.MaxStorageMB, StreamsMB: s.Config.Streams.ReservedMB()}
	d.Free, d.Err = machine.FreeDisk(s.DataDir)
	d.Used = size(ctx, s.DataDir)
	d.Syncs, d.WriteErr = measure(ctx, existing(s.DataDir))
	return d.Findings()
}

// size adds up the files in dir, as far as they can be seen.
func size(ctx context.Context, dir string) (bytes int64) {
	// What cannot be read is left out: files come and go while the server runs.
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}

// existing is dir or the nearest folder above it that is there.
func existing(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// measure writes small blocks to a file in dir, each to the disk, and deletes the file.
func measure(ctx context.Context, dir string) (took []time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".rtap-doctor-*")
	if err != nil {
		return nil, fmt.Errorf("writing into %s: %w", dir, err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	data := make([]byte, block)
	for began := time.Now(); len(took) < syncs && ctx.Err() == nil && time.Since(began) < syncLimit; {
		at := time.Now()
		if _, err := f.Write(data); err != nil {
			return took, fmt.Errorf("writing into %s: %w", dir, err)
		}
		if err := f.Sync(); err != nil {
			return took, fmt.Errorf("writing %s to the disk: %w", dir, err)
		}
		took = append(took, time.Since(at))
	}
	return took, nil
}

// Findings judges the facts.
func (d Disk) Findings() []Finding {
	return append(d.space(), d.speed()...)
}

func (d Disk) space() []Finding {
	const name = "disk"
	var out []Finding
	if d.StreamsMB > d.LimitMB {
		out = append(out, Finding{name, Fail, fmt.Sprintf("the streams reserve %d MB (streams.*.max_mb), more than nats.embedded.max_storage_mb = %d", d.StreamsMB, d.LimitMB),
			fmt.Sprintf("set nats.embedded.max_storage_mb to %d or more, or make the streams smaller", d.StreamsMB)})
	}
	if d.Err != nil {
		return append(out, Finding{name, Warn, d.Err.Error(), "choose another --data-dir"})
	}
	free, room, limit := d.Free>>20, (d.Free+d.Used)>>20, int64(d.LimitMB)
	detail := fmt.Sprintf("%d MB free for %s, which holds %d MB; JetStream may take up to %d MB", free, d.Dir, d.Used>>20, limit)
	switch {
	case free < 64:
		out = append(out, Finding{name, Fail, detail, "free some space or choose another --data-dir; after a full disk JetStream accepts nothing until it is started again"})
	case room < limit:
		out = append(out, Finding{name, Warn, detail,
			fmt.Sprintf("free some space, choose another --data-dir, or set nats.embedded.max_storage_mb below %d; after a full disk JetStream accepts nothing until it is started again", room)})
	case len(out) == 0:
		out = append(out, Finding{name, OK, detail, ""})
	}
	return out
}

func (d Disk) speed() []Finding {
	const name = "fsync"
	if errors.Is(d.WriteErr, syscall.ENOSPC) {
		return []Finding{{name, Fail, d.WriteErr.Error(), "free some space, then restart the NATS server: after a full disk it accepts nothing until then"}}
	}
	if d.WriteErr != nil {
		return []Finding{{name, Fail, d.WriteErr.Error(), "give this user the right to write there, or choose another --data-dir"}}
	}
	if len(d.Syncs) == 0 {
		return []Finding{{name, Warn, "not one write reached the disk in time", "the volume of --data-dir hangs; look at its hardware or network"}}
	}
	sorted := slices.Sorted(slices.Values(d.Syncs))
	p50, p95 := sorted[len(sorted)/2], sorted[len(sorted)*95/100]
	f := Finding{Name: name, Status: OK, Detail: fmt.Sprintf("%.1f ms p50, %.1f ms p95 for 4 KiB", milliseconds(p50), milliseconds(p95))}
	if p50 > slowSync {
		f.Status, f.Advice = Warn, "each final waits for a write to reach the disk: put --data-dir on a local SSD"
	}
	return []Finding{f}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (s *Site) logs(context.Context) []Finding {
	dir := s.Config.Log.Dir
	if dir == "" {
		return nil
	}
	f, err := os.CreateTemp(existing(dir), ".rtap-doctor-*")
	if err == nil {
		err = errors.Join(f.Close(), os.Remove(f.Name()))
	}
	return JudgeLogs(dir, err)
}

// JudgeLogs says what came of writing into log.dir.
func JudgeLogs(dir string, err error) []Finding {
	if err != nil {
		return []Finding{{"logs", Fail, fmt.Sprintf("log.dir %s cannot be written to: %v", dir, err), "give this user the right to write there, or set log.dir to another folder or to nothing"}}
	}
	return []Finding{{"logs", OK, "log.dir " + dir + " can be written to", ""}}
}
