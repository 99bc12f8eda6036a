package machine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CPU says what computes here.
type CPU struct {
	Model   string // "" where the kernel does not name it, as on most ARM machines
	Cores   int    // physical ones
	Threads int    // of them together, as the kernel schedules
}

// String reads like "AMD EPYC 7B13, 2 cores, 4 threads".
func (c CPU) String() string {
	model := c.Model
	if model == "" {
		model = "a CPU that the kernel does not name"
	}
	return fmt.Sprintf("%s, %d cores, %d threads", model, c.Cores, c.Threads)
}

// CPU describes the processors that the kernel sees, whatever the container may use.
func (h Host) CPU() (c CPU, err error) {
	f, err := os.Open(filepath.Join(h.Root, "proc/cpuinfo"))
	if err != nil {
		return c, fmt.Errorf("reading what CPU this is: %w", err)
	}
	defer func() { _ = f.Close() }()
	cores, socket := map[string]bool{}, ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "processor":
			c.Threads++
		case "model name":
			c.Model = value
		case "physical id":
			socket = value
		case "core id": // follows physical id
			cores[socket+"/"+value] = true
		}
	}
	if err := lines.Err(); err != nil {
		return c, fmt.Errorf("reading what CPU this is: %w", err)
	}
	if c.Cores = len(cores); c.Cores == 0 {
		c.Cores = c.Threads
	}
	return c, nil
}
