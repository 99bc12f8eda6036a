// Package machine says what this host, or the container on it, has to give.
package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Host reads the kernel's files below Root, which is "/" but in tests.
type Host struct{ Root string }

// This is the machine that the process runs on.
var This = Host{Root: "/"}

// AvailableMemory returns how many bytes may still be used without swapping, and what
// sets the bound: the machine, or the container's limit.
func (h Host) AvailableMemory() (bytes int64, boundBy string, err error) {
	info, err := h.table("proc/meminfo")
	if err != nil {
		return 0, "", err
	}
	bytes, boundBy = info["MemAvailable"]<<10, "the machine"
	if limit, used, ok := h.containerMemory(); ok && limit-used < bytes {
		bytes, boundBy = max(0, limit-used), "the container's limit"
	}
	return bytes, boundBy, nil
}

// containerMemory returns a control group's limit and what of it cannot be reclaimed.
func (h Host) containerMemory() (limit, used int64, ok bool) {
	for _, group := range []struct{ dir, limit, used string }{
		{"sys/fs/cgroup", "memory.max", "memory.current"},
		{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"},
	} {
		limit, err := h.number(group.dir, group.limit)
		if err != nil {
			continue
		}
		used, err := h.number(group.dir, group.used)
		if err != nil {
			continue
		}
		stat, err := h.table(filepath.Join(group.dir, "memory.stat"))
		if err == nil {
			used -= stat["inactive_file"] // page cache gives way
		}
		return limit, max(0, used), true
	}
	return 0, 0, false
}

func (h Host) number(dir, name string) (int64, error) {
	raw, err := os.ReadFile(filepath.Join(h.Root, dir, name))
	if err != nil {
		return 0, fmt.Errorf("reading the container's limits: %w", err)
	}
	return strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64) // "max" is no number, and no limit
}

// table reads lines of a name and a number.
func (h Host) table(name string) (map[string]int64, error) {
	f, err := os.Open(filepath.Join(h.Root, name))
	if err != nil {
		return nil, fmt.Errorf("reading the machine's memory: %w", err)
	}
	defer func() { _ = f.Close() }()
	out := map[string]int64{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 2 {
			if n, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				out[strings.TrimSuffix(fields[0], ":")] = n
			}
		}
	}
	return out, nil
}
