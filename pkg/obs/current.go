package obs

import (
	"os"
	"path/filepath"
	"strconv"
)

// CurrentLog is the name beside the daily files that always stands for the newest one. It does
// not end in .log, so that who collects or rotates *.log does not meet a file twice.
const CurrentLog = "current"

// pointTo makes CurrentLog stand for the daily file at path. Several processes may write to
// one folder; the last one to begin a day wins, with the same outcome. It is a convenience:
// where it fails the daily files are as they were.
func pointTo(path string) {
	dir, name := filepath.Split(path)
	link := filepath.Join(dir, CurrentLog)
	if at, err := os.Readlink(link); err == nil && at == name {
		return
	}
	next := link + "." + strconv.Itoa(os.Getpid())
	if os.Symlink(name, next) == nil {
		_ = os.Rename(next, link)
	}
}
