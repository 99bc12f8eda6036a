package machine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/pkg/machine"
)

func TestContainer(t *testing.T) {
	const slice = "0::/system.slice/rtap.service\n"
	for name, tt := range map[string]struct {
		files     map[string]string
		container string
		cores     float64
		bytes     int64
	}{
		"bare machine":           {nil, "", 0, 0},
		"docker without a limit": {map[string]string{".dockerenv": "", "sys/fs/cgroup/cpu.max": "max 100000\n", "sys/fs/cgroup/memory.max": "max\n"}, "Docker", 0, 0},
		"podman with limits":     {map[string]string{"run/.containerenv": "", "sys/fs/cgroup/cpu.max": "50000 100000\n", "sys/fs/cgroup/memory.max": "1048576\n"}, "Podman", 0.5, 1 << 20},
		"unit with limits": {map[string]string{
			"proc/self/cgroup": slice, "sys/fs/cgroup/system.slice/rtap.service/cpu.max": "200000 100000\n",
			"sys/fs/cgroup/system.slice/memory.max": "4096\n", "sys/fs/cgroup/system.slice/rtap.service/memory.max": "8192\n",
		}, "", 2, 4096},
		"version 1": {map[string]string{
			"proc/self/cgroup": "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
			"sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, "Docker", 0, 0},
		"path of the host": {map[string]string{"proc/self/cgroup": "0::/../../kubepods.slice/pod1\n"}, "Kubernetes", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range tt.files {
				path = filepath.Join(root, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			h := machine.Host{Root: root}
			if got := h.Container(); got != tt.container {
				t.Errorf("container %q, want %q", got, tt.container)
			}
			if got, ok := h.CPULimit(); got != tt.cores || ok != (tt.cores > 0) {
				t.Errorf("%g cores, %v; want %g", got, ok, tt.cores)
			}
			if got, ok := h.MemoryLimit(); got != tt.bytes || ok != (tt.bytes > 0) {
				t.Errorf("%d bytes, %v; want %d", got, ok, tt.bytes)
			}
		})
	}
}

func TestThisMachine(t *testing.T) {
	if n, err := machine.OpenFiles(); n == 0 || err != nil {
		t.Errorf("open files: %d, %v", n, err)
	}
	if _, err := machine.ClockSynchronised(); err != nil {
		t.Logf("the clock may not be asked here: %v", err)
	}
}
