package machine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/pkg/machine"
)

func TestAvailableMemory(t *testing.T) {
	meminfo := map[string]string{"proc/meminfo": "MemTotal:  2000 kB\nMemAvailable:    1000 kB\n"}
	for name, tt := range map[string]struct {
		files   map[string]string
		want    int64
		boundBy string
	}{
		"no container": {nil, 1000 << 10, "the machine"},
		"no limit":     {map[string]string{"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "5\n"}, 1000 << 10, "the machine"},
		"version 2": {map[string]string{
			"sys/fs/cgroup/memory.max": "102400\n", "sys/fs/cgroup/memory.current": "92400\n", "sys/fs/cgroup/memory.stat": "anon 5\ninactive_file 2400\n",
		}, 12400, "the container's limit"},
		"version 1": {map[string]string{
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "6000\n",
		}, 0, "the container's limit"},
		"limit above the machine": {map[string]string{"sys/fs/cgroup/memory.max": "9000000\n", "sys/fs/cgroup/memory.current": "1\n"}, 1000 << 10, "the machine"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, files := range []map[string]string{meminfo, tt.files} {
				for path, text := range files {
					path = filepath.Join(root, path)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			got, boundBy, err := machine.Host{Root: root}.AvailableMemory()
			if got != tt.want || boundBy != tt.boundBy || err != nil {
				t.Errorf("got %d by %s, %v; want %d by %s", got, boundBy, err, tt.want, tt.boundBy)
			}
		})
	}
	if _, _, err := (machine.Host{Root: t.TempDir()}).AvailableMemory(); err == nil {
		t.Error("no error without /proc")
	}
	if got, _, err := machine.This.AvailableMemory(); got <= 0 || err != nil {
		t.Errorf("this machine: %d, %v", got, err)
	}
}
