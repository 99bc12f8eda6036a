package top

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/obs"
)

// beside finds what runs on this host for the same pipeline and is none of its services:
// `rtap up`, and the NATS server. Of other containers nothing shows.
func beside(targets []control.Target, server int) []process {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return nil
	}
	all, err := fs.AllProcs()
	if err != nil {
		return nil
	}
	parents := map[int]bool{} // of our processes: `rtap up`
	for _, t := range targets {
		if p, err := fs.Proc(int(t.GetPid())); t.Local && err == nil {
			if st, err := p.Stat(); err == nil {
				parents[st.PPID] = true
			}
		}
	}
	var out []process
	for _, p := range all {
		st, err := p.Stat()
		if err != nil {
			continue // it has just ended
		}
		name := ""
		switch {
		case st.Comm == "rtap" && parents[p.PID]:
			name = "up"
		case p.PID == server:
			name = "nats"
		default:
			continue
		}
		x := process{cpuSeconds: st.CPUTime(), Process: Process{
			Service: name, Instance: fmt.Sprintf("process %d", p.PID), Ready: true, Reasons: []string{}, MemoryBytes: uint64(st.ResidentMemory()),
		}}
		if began, err := st.StartTime(); err == nil {
			x.UptimeSeconds = max(0, float64(time.Now().UnixMilli())/1000-began)
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b process) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Instance, b.Instance))
	})
	return out
}

// listener is the process that listens at the first address of a list of URLs; 0 where
// that is elsewhere or does not show.
func listener(list string) int {
	first, _, _ := strings.Cut(list, ",")
	u, err := url.Parse(first)
	if err != nil || u.Hostname() != "localhost" && !net.ParseIP(u.Hostname()).IsLoopback() {
		return 0
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = 4222
	}
	_, pid, _ := obs.Holder(uint16(port))
	return pid
}
