package rig

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	ballast = "ballast"
	// kept is how often who fills the disk looks whether there is space again.
	kept = 100 * time.Millisecond
)

// SmallDisk puts the data of `rtap up` on a file system of its own, of so many MB. It needs
// to be allowed to mount.
func (r *Rig) SmallDisk(mb int) error {
	dir := filepath.Join(r.Dir, "data")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mb)); err != nil {
		return fmt.Errorf("mounting a small disk (run it as root, outside of a container): %w", err)
	}
	r.disk = dir
	return nil
}

// Fill leaves no space on the small disk for so long: what is freed meanwhile is filled too.
func (r *Rig) Fill(d time.Duration) error {
	path := filepath.Join(r.disk, ballast)
	f, err := os.Create(path) //nolint:gosec // on the disk just mounted
	if err != nil {
		return fmt.Errorf("filling the disk: %w", err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	for end := time.Now().Add(d); time.Now().Before(end); {
		_, err := f.Write(block)
		if errors.Is(err, syscall.ENOSPC) {
			time.Sleep(kept)
		} else if err != nil {
			return fmt.Errorf("filling the disk: %w", err)
		}
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("freeing the disk: %w", err)
	}
	return nil
}

func (r *Rig) unmount() {
	if r.disk == "" {
		return
	}
	if err := unix.Unmount(r.disk, unix.MNT_DETACH); err != nil {
		r.Note("unmounting the small disk: %v", err)
	}
}
