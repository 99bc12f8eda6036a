package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/rtap/rtap/pkg/clock"
)

// Process is one of the pipeline's, at one moment.
type Process struct {
	PID        int
	Name       string  // rtap-vad, nats-server, …
	CPUSeconds float64 // since it began
	RSS        int64   // bytes
	// Bytes since it began: what it read and wrote, mostly to and from other processes, and
	// what went to the disk.
	Read, Written, Disk uint64
}

// Sample is all processes at one moment.
type Sample struct {
	At        int64 // ns of the host's monotonic clock
	Processes []Process
	// Busy and Total are CPU seconds of the whole machine since it began, all cores together.
	Busy, Total float64
	Steal       float64 // taken by the hypervisor
	Self        float64 // CPU seconds of this process, which measures
}

// Processes reads `rtap up` and its children from the kernel, in the order of their start.
func (p *Pipeline) Processes() (Sample, error) {
	s := Sample{At: clock.Now().GetMonotonicNs()}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return s, fmt.Errorf("reading /proc: %w", err)
	}
	all, err := fs.AllProcs()
	if err != nil {
		return s, fmt.Errorf("reading /proc: %w", err)
	}
	for _, proc := range all {
		st, err := proc.Stat()
		if err == nil && proc.PID == os.Getpid() {
			s.Self = st.CPUTime()
		}
		if err != nil || (proc.PID != p.PID() && st.PPID != p.PID()) {
			continue // gone, or another's
		}
		io, err := proc.IO()
		if err != nil {
			io = procfs.ProcIO{} // gone meanwhile, or not for us to see
		}
		s.Processes = append(s.Processes, Process{
			PID: proc.PID, Name: name(proc), CPUSeconds: st.CPUTime(), RSS: int64(st.ResidentMemory()),
			Read: io.RChar, Written: io.WChar, Disk: io.WriteBytes,
		})
	}
	slices.SortFunc(s.Processes, func(a, b Process) int { return a.PID - b.PID })
	total, err := fs.Stat()
	if err != nil {
		return s, fmt.Errorf("reading /proc/stat: %w", err)
	}
	c := total.CPUTotal
	s.Busy = c.User + c.Nice + c.System + c.IRQ + c.SoftIRQ
	s.Total, s.Steal = s.Busy+c.Idle+c.Iowait+c.Steal, c.Steal
	return s, nil
}

// name is the program's, or for a command of rtap that command's.
func name(p procfs.Proc) string {
	args, err := p.CmdLine()
	if err != nil || len(args) == 0 {
		return "gone"
	}
	base := filepath.Base(args[0])
	if len(args) > 1 && !strings.Contains(base, "-") {
		if args[1] == "nats-server" {
			return args[1]
		}
		return base + " " + args[1]
	}
	return base
}

// Watch takes a sample every so often until ctx is done.
func (p *Pipeline) Watch(ctx context.Context, every time.Duration, each func(Sample)) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		s, err := p.Processes()
		if err != nil {
			return err
		}
		each(s)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
