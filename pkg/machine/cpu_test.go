package machine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/pkg/machine"
)

func TestCPU(t *testing.T) {
	for name, tt := range map[string]struct{ info, want string }{
		"two threads a core": {
			"processor\t: 0\nmodel name\t: Good CPU\nphysical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 1\nmodel name\t: Good CPU\nphysical id\t: 0\ncore id\t\t: 0\n",
			"Good CPU, 1 cores, 2 threads",
		},
		"two sockets": {"processor: 0\nmodel name: X\nphysical id: 0\ncore id: 3\nprocessor: 1\nphysical id: 1\ncore id: 3\n", "X, 2 cores, 2 threads"},
		"ARM":         {"processor: 0\nBogoMIPS: 50\nCPU part: 0xd0c\nprocessor: 1\n", "a CPU that the kernel does not name, 2 cores, 2 threads"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if err := os.Mkdir(filepath.Join(root, "proc"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, "proc/cpuinfo"), []byte(tt.info), 0o600); err != nil {
				t.Fatal(err)
			}
			if got, err := (machine.Host{Root: root}).CPU(); err != nil || got.String() != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if _, err := (machine.Host{Root: t.TempDir()}).CPU(); err == nil {
		t.Error("no error without /proc")
	}
}
