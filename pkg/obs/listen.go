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
	return lifecycle.Usage(fmt.Errorf("port %s is in use%s: free it, or set another with %s", port, holder(port), key))
}

// holder names the process that listens on a TCP port, where /proc shows it.
func holder(port string) string {
	want, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return ""
	}
	inodes := map[string]bool{}
	v4, _ := fs.NetTCP()  //nolint:staticcheck // netlink would be one more dependency for one message
	v6, _ := fs.NetTCP6() //nolint:staticcheck // see above
	const listening = 10
	for _, line := range append(v4, v6...) {
		if line.St == listening && line.LocalPort == want {
			inodes["socket:["+strconv.FormatUint(line.Inode, 10)+"]"] = true
		}
	}
	procs, err := fs.AllProcs()
	if err != nil || len(inodes) == 0 {
		return ""
	}
	for _, p := range procs {
		targets, err := p.FileDescriptorTargets()
		if err != nil {
			continue
		}
		for _, target := range targets {
			if inodes[target] {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
				return fmt.Sprintf(" by %s (process %d)", strings.TrimSpace(string(name)), p.PID)
			}
		}
	}
	return ""
}
