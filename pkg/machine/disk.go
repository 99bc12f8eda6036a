package machine

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FreeDisk returns how many bytes an unprivileged process may still write in dir, or in
// the nearest folder above it that exists.
func FreeDisk(dir string) (int64, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return 0, fmt.Errorf("checking the disk of %s: %w", dir, err)
	}
	for {
		var fs unix.Statfs_t
		err := unix.Statfs(dir, &fs)
		if err == nil {
			return int64(fs.Bavail) * fs.Bsize, nil
		}
		if above := filepath.Dir(dir); errors.Is(err, unix.ENOENT) && above != dir {
			dir = above
			continue
		}
		return 0, fmt.Errorf("checking the disk of %s: %w", dir, err)
	}
}
