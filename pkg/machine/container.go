package machine

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Container says what kind of container the process is in; "" for none that shows.
func (h Host) Container() string {
	for _, sign := range []struct{ file, kind string }{
		{".dockerenv", "Docker"}, {"run/.containerenv", "Podman"},
		{"var/run/secrets/kubernetes.io", "Kubernetes"}, {"run/systemd/container", "systemd"},
	} {
		if _, err := os.Stat(filepath.Join(h.Root, sign.file)); err == nil {
			return sign.kind
		}
	}
	raw, _ := os.ReadFile(filepath.Join(h.Root, "proc/self/cgroup"))
	for _, sign := range []struct{ word, kind string }{
		{"docker", "Docker"}, {"kubepods", "Kubernetes"}, {"containerd", "containerd"}, {"lxc", "LXC"},
	} {
		if strings.Contains(string(raw), "/"+sign.word) {
			return sign.kind
		}
	}
	return ""
}

// CPULimit returns how many cores the process's control groups leave it; false where they
// set no limit.
func (h Host) CPULimit() (cores float64, ok bool) {
	lower := func(quota, period float64) {
		if quota > 0 && period > 0 && (!ok || quota/period < cores) {
			cores, ok = quota/period, true
		}
	}
	for _, dir := range h.groups("") {
		raw, _ := os.ReadFile(filepath.Join(dir, "cpu.max"))
		if quota, period, found := strings.Cut(strings.TrimSpace(string(raw)), " "); found {
			lower(float(quota), float(period)) // "max" is no number, and no limit
		}
	}
	for _, dir := range h.groups("cpu") {
		quota, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_quota_us"))
		period, _ := os.ReadFile(filepath.Join(dir, "cpu.cfs_period_us"))
		lower(float(string(quota)), float(string(period)))
	}
	return cores, ok
}

// MemoryLimit returns the least of what the process's control groups allow, in bytes;
// false where they set no limit.
func (h Host) MemoryLimit() (bytes int64, ok bool) {
	// The first version has no word for "no limit", only a number that no machine reaches.
	const none = 1 << 60
	for _, group := range []struct{ controller, file string }{{"", "memory.max"}, {"memory", "memory.limit_in_bytes"}} {
		for _, dir := range h.groups(group.controller) {
			raw, _ := os.ReadFile(filepath.Join(dir, group.file))
			n, err := strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
			if err == nil && n < none && (!ok || n < bytes) {
				bytes, ok = n, true
			}
		}
	}
	return bytes, ok
}

// groups lists the folders of the process's control group and of those above it. An empty
// controller means version 2. In a container the path of /proc/self/cgroup may be that of
// the host; folders that are not there do no harm.
func (h Host) groups(controller string) (dirs []string) {
	top := filepath.Join(h.Root, "sys/fs/cgroup", controller)
	dirs = append(dirs, top)
	raw, _ := os.ReadFile(filepath.Join(h.Root, "proc/self/cgroup"))
	for line := range strings.Lines(string(raw)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 || !names(parts[1], controller) {
			continue
		}
		for dir := filepath.Join(top, filepath.Clean("/"+parts[2])); dir != top; dir = filepath.Dir(dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func names(list, controller string) bool {
	for name := range strings.SplitSeq(list, ",") {
		if name == controller {
			return true
		}
	}
	return false
}

func float(text string) float64 {
	x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		return 0
	}
	return x
}
