//go:build failpoint

package failpoint

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Enabled says whether the program was built with failpoints.
const Enabled = true

type plan struct {
	name, action string
	nth          int64
	pause        time.Duration
	passes       atomic.Int64
}

var wanted = sync.OnceValues(func() (all []*plan, err error) {
	for text := range strings.SplitSeq(os.Getenv(Env), ",") {
		if text == "" {
			continue
		}
		p, err := parse(text)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
})

// parse reads one plan in the form that the package's comment gives.
func parse(text string) (p *plan, err error) {
	place, action, ok := strings.Cut(text, "=")
	name, nth, counted := strings.Cut(place, ":")
	p = &plan{name: name, nth: 1}
	if counted {
		if p.nth, err = strconv.ParseInt(nth, 10, 64); err != nil || p.nth < 1 {
			return p, fmt.Errorf("%s=%q: the pass must be 1 or more", Env, text)
		}
	}
	var long string
	p.action, long, _ = strings.Cut(action, ":")
	switch p.action {
	case "kill", "exit":
		ok = ok && long == ""
	case "stop", "delay":
		p.pause, err = time.ParseDuration(long)
		ok = ok && err == nil && p.pause > 0
	default:
		ok = false
	}
	if !ok || name == "" {
		return p, fmt.Errorf("%s=%q: want name[:nth]=kill|exit|stop:DURATION|delay:DURATION", Env, text)
	}
	return p, nil
}

// At does what RTAP_FAILPOINT asks for at the place of that name.
func At(name string) {
	all, err := wanted()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, p := range all {
		if p.name == name && p.passes.Add(1) == p.nth {
			p.act()
		}
	}
}

func (p *plan) act() {
	name := p.name
	fmt.Fprintf(os.Stderr, "failpoint %s: %s\n", name, p.action)
	switch p.action {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // it takes a moment
	case "exit":
		os.Exit(3)
	case "stop":
		// Somebody else has to wake it.
		wake := exec.Command("sh", "-c", fmt.Sprintf("sleep %.3f; kill -CONT %d", p.pause.Seconds(), os.Getpid()))
		if err := wake.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		go func() { _ = wake.Wait() }()
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
	case "delay":
		time.Sleep(p.pause)
	}
}
