// Package rig runs the pipeline's real programs for `make chaos`, each in a process of its
// own that can be killed, stopped and cut off, and follows it as clients do.
package rig

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rtap/rtap/pkg/failpoint"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// Process is a program that is started again whenever it has died.
type Process struct {
	Name string

	path    string
	args    []string
	environ []string
	log     io.Writer
	mayEnd  bool          // it ends when its work is done
	restart time.Duration // pause before it is started again

	mu      sync.Mutex
	cmd     *exec.Cmd
	plan    func() string // RTAP_FAILPOINT of the next start; nil for none
	fired   func(name string, at time.Time)
	armed   bool // the process that runs has a failpoint to come to
	closing bool
	done    chan struct{}
}

// start runs the program until Close.
func (p *Process) start() {
	p.done = make(chan struct{})
	go p.run()
}

func (p *Process) run() {
	// The parent-death signal follows the thread that forked, so this one must live on.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.done)
	for {
		p.mu.Lock()
		if p.closing {
			p.mu.Unlock()
			return
		}
		cmd := exec.Command(p.path, p.args...) //nolint:gosec,noctx // the pipeline's own programs; Close ends them
		cmd.Env = append(os.Environ(), p.environ...)
		p.armed = false
		if p.plan != nil {
			plan := p.plan()
			p.armed = plan != ""
			cmd.Env = append(cmd.Env, failpoint.Env+"="+plan)
		}
		out := &labelled{out: p.log, name: p.Name, line: p.said}
		cmd.Stderr, cmd.Stdout = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
		err := cmd.Start()
		if err == nil {
			p.cmd = cmd
		}
		p.mu.Unlock()
		if err == nil {
			err = cmd.Wait()
		}
		p.mu.Lock()
		p.cmd = nil
		end := p.closing || p.mayEnd && cmd.ProcessState != nil && slices.Contains([]int{lifecycle.ExitOK, lifecycle.ExitEnded}, cmd.ProcessState.ExitCode())
		p.mu.Unlock()
		fmt.Fprintf(p.log, "chaos: %s ended: %v\n", p.Name, err)
		if end {
			return
		}
		time.Sleep(p.restart)
	}
}

// said looks at each line of the process for the one that a failpoint writes.
func (p *Process) said(line string) {
	rest, ok := strings.CutPrefix(line, "failpoint ")
	if !ok {
		return
	}
	name, _, _ := strings.Cut(rest, ":")
	p.mu.Lock()
	fired := p.fired
	p.armed = false
	p.mu.Unlock()
	if fired != nil {
		fired(name, time.Now())
	}
}

// Signal sends s to the process and says whether there was one.
func (p *Process) Signal(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && p.cmd.Process.Signal(s) == nil
}

// Pause stops the process as if its machine had slept.
func (p *Process) Pause(d time.Duration) bool {
	if !p.Signal(syscall.SIGSTOP) {
		return false
	}
	time.Sleep(d)
	return p.Signal(syscall.SIGCONT)
}

// Arm gives the process another failpoint at each start, and calls fired when it has come to
// it, until Disarm. It is started anew for it.
func (p *Process) Arm(plan func() string, fired func(name string, at time.Time)) {
	p.mu.Lock()
	p.plan, p.fired = plan, fired
	p.mu.Unlock()
	p.Signal(syscall.SIGTERM)
}

// Disarm takes the failpoint away; a process that still has it is started anew.
func (p *Process) Disarm() {
	p.mu.Lock()
	armed := p.plan != nil
	p.plan, p.fired, p.armed = nil, nil, false
	p.mu.Unlock()
	if armed {
		p.Signal(syscall.SIGTERM)
	}
}

// IsArmed says whether the process that runs has a failpoint that it has not come to.
func (p *Process) IsArmed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.armed
}

// Keep takes the failpoint away from the next start on.
func (p *Process) Keep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan, p.fired = nil, nil
}

// PID of the process; 0 without one.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

// Running says whether there is a process now.
func (p *Process) Running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil
}

// Close asks the process to end, and kills it when it does not.
func (p *Process) Close() {
	if p.done == nil {
		return
	}
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	p.Signal(syscall.SIGCONT)
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		p.Signal(syscall.SIGKILL)
		<-p.done
	}
}
