package diagnostics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/cmd/rtap/internal/sibling"
	"github.com/rtap/rtap/pkg/machine"
	"golang.org/x/sys/unix"
)

// versions says what was built and what runs.
func versions(ctx context.Context, s *site, w io.Writer) error {
	host, _ := os.Hostname()
	now := time.Now()
	fmt.Fprintf(w, "gathered   %s (%s) on %s\n", now.UTC().Format(time.RFC3339), now.Format(time.RFC3339), host)
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		fmt.Fprintf(w, "kernel     %s %s %s\n", unix.ByteSliceToString(name.Sysname[:]), unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:]))
	}
	if cpu, err := machine.This.CPU(); err == nil {
		fmt.Fprintf(w, "cpu        %s\n", cpu)
	}
	container := machine.This.Container()
	if container == "" {
		container = "none that shows"
	}
	fmt.Fprintf(w, "container  %s\nuser       %d, groups %v\n\nrtap %s (%s)\n", container, os.Getuid(), groups(), s.env.Version, runtime.Version())
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, b := range info.Settings {
			if strings.HasPrefix(b.Key, "vcs.") {
				fmt.Fprintf(w, "  %s %s\n", b.Key, b.Value)
			}
		}
	}
	var errs []error
	for _, service := range []string{"capture", "vad", "stt", "egress"} {
		path, err := sibling.Path(service)
		if err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
		if err != nil {
			errs = append(errs, fmt.Errorf("rtap-%s: %w %s", service, err, strings.TrimSpace(string(out))))
			continue
		}
		fmt.Fprint(w, string(out))
	}
	if s.pipeline.Conn != nil {
		fmt.Fprintf(w, "nats-server %s at %s\n", s.pipeline.Conn.ConnectedServerVersion(), s.pipeline.Conn.ConnectedUrlRedacted())
	}
	fmt.Fprintln(w)
	for _, t := range s.pipeline.Targets {
		fmt.Fprintf(w, "running: %s %s, version %s, %s\n", t.GetService(), t.GetInstance(), t.GetVersion(), t.GetState())
	}
	if len(s.pipeline.Targets) == 0 {
		errs = append(errs, errors.New("no process of the pipeline answers"))
	}
	return errors.Join(append(errs, s.pipeline.Problem)...)
}

func groups() []int {
	all, _ := os.Getgroups()
	return all
}

// configuration lists values and where they come from, and what is in the environment.
func configuration(ctx context.Context, s *site, w io.Writer) error {
	if s.cfgErr == nil {
		for _, v := range s.cfg.Settings() {
			fmt.Fprintf(w, "%-36s %-28s # %s\n", v.Key, v.Value, v.Origin)
		}
	}
	fmt.Fprintln(w, "\nenvironment:")
	for _, kv := range slices.Sorted(slices.Values(s.env.Environ)) {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "RTAP_") && name != "AUDIO_DEVICE" && name != "PULSE_SERVER" && name != "TZ" {
			continue
		}
		for _, word := range []string{"PASSWORD", "TOKEN", "SECRET", "CREDENTIALS", "KEY"} {
			if strings.Contains(name, word) && value != "" {
				value = "(hidden)"
			}
		}
		fmt.Fprintf(w, "%s=%s\n", name, value)
	}
	fmt.Fprintln(w, "\nchanged while running:")
	return errors.Join(s.cfgErr, changes(ctx, s, w))
}

// examination is what `rtap doctor` finds.
func examination(ctx context.Context, s *site, w io.Writer) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding the programs: %w", err)
	}
	d := &doctor.Site{
		Environ: s.env.Environ, Version: s.env.Version, Host: machine.This, Flags: s.options.Flags,
		Programs: filepath.Dir(exe), DataDir: s.dataDir, BackupDir: "backups",
	}
	if s.options.URL != "" {
		d.Flags.Set = append(slices.Clone(d.Flags.Set), "nats.url="+s.options.URL)
	}
	doctor.Examine(ctx, d.Checks(), func(f doctor.Finding) { f.Print(w) })
	return ctx.Err()
}

// resources are those of the host or the container, and of each process of RTAP here.
func resources(_ context.Context, s *site, w io.Writer) error {
	var errs []error
	for _, path := range []string{"/proc/loadavg", "/proc/meminfo", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io"} {
		raw, err := os.ReadFile(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		lines := strings.SplitAfter(string(raw), "\n")
		fmt.Fprintf(w, "%s\n%s\n", path, strings.Join(lines[:min(len(lines), 6)], ""))
	}
	if limit, ok := machine.This.MemoryLimit(); ok {
		fmt.Fprintf(w, "memory limit %d MB\n", limit>>20)
	}
	if cores, ok := machine.This.CPULimit(); ok {
		fmt.Fprintf(w, "cpu limit %.2f cores\n", cores)
	}
	for _, dir := range []string{s.dataDir, s.cfg.Log.Dir, os.TempDir()} {
		if dir == "" {
			continue
		}
		free, err := machine.FreeDisk(dir)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		fmt.Fprintf(w, "disk of %s: %d MB free\n", dir, free>>20)
	}
	return errors.Join(append(errs, processes(w))...)
}

func processes(w io.Writer) error {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	all, err := fs.AllProcs()
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	fmt.Fprintf(w, "\n%-8s %-8s %-14s %-2s %9s %8s %6s %8s  %s\n", "PID", "PARENT", "NAME", "S", "RSS MB", "THREADS", "FILES", "CPU s", "COMMAND")
	n := 0
	for _, p := range all {
		st, err := p.Stat()
		if err != nil || !strings.HasPrefix(st.Comm, "rtap") && st.Comm != "nats-server" {
			continue
		}
		files, _ := p.FileDescriptorsLen() // another user's do not show
		args, _ := p.CmdLine()
		n++
		fmt.Fprintf(w, "%-8d %-8d %-14s %-2s %9.1f %8d %6d %8.1f  %s\n", p.PID, st.PPID, st.Comm, st.State,
			float64(st.ResidentMemory())/(1<<20), st.NumThreads, files, st.CPUTime(), strings.Join(args, " "))
	}
	if n <= 1 { // this one
		return errors.New("no other process of RTAP shows here; those of other containers never do")
	}
	return nil
}
