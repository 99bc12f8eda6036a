package rig

import (
	"fmt"
	"os"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/machine"
)

// room is what a measurement wants free: what `rtap up` does not start without, and as much
// again for recordings, what the server stores and logs.
const room = 128 << 20

// Folder makes one for a measurement's files, where temporary ones belong.
func Folder(pattern string) (string, error) { return folder(pattern, machine.FreeDisk) }

func folder(pattern string, free func(dir string) (int64, error)) (string, error) {
	parent := os.TempDir()
	if n, err := free(parent); err == nil && n < room {
		return "", lifecycle.Usage(fmt.Errorf("only %d MB are free in %s, a measurement wants %d: name a folder with more, TMPDIR=DIR rtap bench …;"+
			" a gateway's container has none, so take one for it alone: docker run --rm rtap:latest rtap bench …", n>>20, parent, room>>20))
	}
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", fmt.Errorf("making a folder for a measurement: %w", err)
	}
	return dir, nil
}
