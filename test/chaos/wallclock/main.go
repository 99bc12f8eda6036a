// Command wallclock makes what `go build -overlay` needs to give programs a wall clock that
// can be stepped while they run. Go reads the machine's clock without libc, and Linux has no
// namespace for it, so the place to do it is time.Now itself: in a program that is built so it
// adds what the file named by RTAP_CHAOS_CLOCK says, seconds as 8 bytes in the machine's order.
// The monotonic clock stays what it is, as in a real step.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

const (
	reading = "sec, nsec, mono := runtimeNow()\n"
	stepped = reading + "\tsec += chaosStep()\n"
)

// step is one more file of package time.
const step = `package time

import (
	"sync/atomic"
	"syscall"
	"unsafe"
)

var chaosSeconds *int64

func init() {
	path, ok := syscall.Getenv("RTAP_CHAOS_CLOCK")
	if !ok {
		return
	}
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		panic("RTAP_CHAOS_CLOCK: " + err.Error())
	}
	mapped, err := syscall.Mmap(fd, 0, 8, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		panic("RTAP_CHAOS_CLOCK: " + err.Error())
	}
	chaosSeconds = (*int64)(unsafe.Pointer(&mapped[0]))
}

func chaosStep() int64 {
	if chaosSeconds == nil {
		return 0
	}
	return atomic.LoadInt64(chaosSeconds)
}
`

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: wallclock FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "wallclock:", err)
		os.Exit(1)
	}
}

// write puts the files and overlay.json, which names them, into dir.
func write(dir string) error {
	root, err := exec.CommandContext(context.Background(), "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("finding Go's sources: %w", err)
	}
	source := filepath.Join(string(bytes.TrimSpace(root)), "src", "time")
	now, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return fmt.Errorf("reading Go's sources: %w", err)
	}
	if bytes.Count(now, []byte(reading)) != 1 {
		return errors.New("this version of Go reads the clock in another way; see time.Now in " + source)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("finding the folder: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	replace := map[string]string{}
	for name, content := range map[string][]byte{
		"time.go":       bytes.Replace(now, []byte(reading), []byte(stepped), 1),
		"chaos_step.go": []byte(step),
	} {
		// Not .go here, where other tools look for the module's files.
		path := filepath.Join(dir, name+".txt")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return fmt.Errorf("writing a file: %w", err)
		}
		replace[filepath.Join(source, name)] = path
	}
	raw, err := json.MarshalIndent(map[string]any{"Replace": replace}, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), raw, 0o600); err != nil {
		return fmt.Errorf("writing a file: %w", err)
	}
	return nil
}
