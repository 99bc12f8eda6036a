package rig

import (
	"os"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/lifecycle"
)

// TestFolder: where there is too little room nothing is begun, and the way out is named.
func TestFolder(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	free := int64(64 << 20)
	disk := func(string) (int64, error) { return free, nil }
	_, err := folder("x-*", disk)
	if lifecycle.Code(err) != lifecycle.ExitUsage || !strings.Contains(err.Error(), "only 64 MB are free in "+os.TempDir()) ||
		!strings.Contains(err.Error(), "docker run --rm rtap:latest rtap bench") || !strings.Contains(err.Error(), "TMPDIR=") {
		t.Errorf("64 MB: %v", err)
	}
	free = room
	dir, err := folder("x-*", disk)
	if err != nil || !strings.HasPrefix(dir, os.TempDir()) {
		t.Errorf("%s, %v", dir, err)
	}
}
