package obs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// Listen opens a TCP listener. A port in use gives an error that names the port, the
// key that sets it, and who holds it when that can be known; exit code 2.
func Listen(ctx context.Context, addr, key string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, ListenError(err, addr, key)
	}
	return l, nil
}

// ListenError explains why addr, set by key, cannot be listened on.
func ListenError(err error, addr, key string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return lifecycle.Usage(fmt.Errorf("listening on %s (set by %s): %w", addr, key, err))
	}
	_, port, _ := net.SplitHostPort(addr)
	by := ""
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		if name, pid, ok := Holder(uint16(n)); ok {
			by = fmt.Sprintf(" by %s (process %d)", name, pid)
		}
	}
	return lifecycle.Usage(fmt.Errorf("port %s is in use%s: free it, or set another with %s", port, by, key))
}

// Holder finds the process that listens on a TCP port; false where /proc does not show it,
// as for another user's process or one outside the container.
func Holder(port uint16) (name string, pid int, ok bool) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return "", 0, false
	}
	inodes := map[string]bool{}
	v4, _ := fs.NetTCP()  //nolint:staticcheck // netlink would be one more dependency for one message
	v6, _ := fs.NetTCP6() //nolint:staticcheck // see above
	const listening = 10
	for _, line := range append(v4, v6...) {
		if line.St == listening && line.LocalPort == uint64(port) {
			inodes["socket:["+strconv.FormatUint(line.Inode, 10)+"]"] = true
		}
	}
	procs, err := fs.AllProcs()
	if err != nil || len(inodes) == 0 {
		return "", 0, false
	}
	for _, p := range procs {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue
		}
		for _, target := range targets {
			if inodes[target] {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
				return strings.TrimSpace(string(name)), p.PID, true
			}
		}
	}
	return "", 0, false
}
