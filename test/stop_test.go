package test

import (
	"errors"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
)

// TestPipelineStopsAtAnyMoment: asked to stop while it starts, with any number of its
// processes there, a pipeline ends with 0 and leaves none behind.
func TestPipelineStopsAtAnyMoment(t *testing.T) {
	for n := 1; n <= 5; n++ {
		t.Run(fmt.Sprint(n, " processes"), func(t *testing.T) {
			p := up(t, "--source", "mock")
			within(t, "processes start", func() bool { return len(p.family(t)) >= n })
			p.terminate()
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("rtap up: %v", err)
			}
			if left := p.family(t); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestNobodyIsLeftBehind: neither by a pipeline that is killed nor by one that is told twice
// to stop.
func TestNobodyIsLeftBehind(t *testing.T) {
	for name, end := range map[string]func(p *pipeline){
		"killed": func(p *pipeline) { _ = p.cmd.Process.Kill() },
		"told twice": func(p *pipeline) {
			p.terminate()
			_ = p.cmd.Process.Signal(syscall.SIGINT) // the same one again could be joined with the first
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := up(t, "--source", "mock", "--stt", "2")
			ready(t, p)
			if n := len(p.family(t)); n != 6 {
				t.Fatalf("%d processes: %v", n, p.family(t))
			}
			end(p)
			var exit *exec.ExitError
			if err := p.cmd.Wait(); !errors.As(err, &exit) {
				t.Errorf("rtap up: %v, want a failure", err)
			}
			within(t, "its processes end", func() bool { return len(p.family(t)) == 0 })
		})
	}
}

// TestStoppedServicesEndWithZero stops each service of a pipeline that works, again and again
// at other moments of its life.
func TestStoppedServicesEndWithZero(t *testing.T) {
	url := testkit.NATS(t).ClientURL()
	more := map[string][]string{"egress": gatewayPorts(t), "capture": {"--source", "mock?stream=talk"}}
	services := []string{"egress", "stt", "vad", "capture"}
	running := map[string]*worker{}
	for _, s := range services {
		running[s] = begin(t, s, url, "", more[s]...)
	}
	stop := func(s string, moment any) {
		w := running[s]
		w.signal(syscall.SIGTERM)
		if state := w.await(t); !state.Success() {
			t.Errorf("%s stopped %v after its start: %v", s, moment, state)
		}
		running[s] = begin(t, s, url, "", more[s]...)
	}
	for _, moment := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second} {
		for _, s := range services {
			<-running[s].begun
			time.Sleep(moment)
			stop(s, moment)
		}
	}
}

// TestServicesStopWhileTheServerSleeps: what they still have to say waits for no server for longer
// than shutdown_timeout, and all that a successor finds again is no failure.
func TestServicesStopWhileTheServerSleeps(t *testing.T) {
	p := up(t, "--source", "mock?stream=talk")
	ready(t, p)
	const limit = 10 * time.Second
	running := map[string]*worker{}
	more := map[string][]string{"egress": gatewayPorts(t), "stt": nil, "vad": nil, "capture": {"--source", "mock?stream=other"}}
	for s, args := range more {
		running[s] = begin(t, s, p.url(), "", append(args, "--set", "shutdown_timeout="+limit.String())...)
		within(t, s+" is there", func() bool { _, there := p.works(t, s)[running[s].cmd.Process.Pid]; return there })
	}
	servers := children(t, p.cmd.Process.Pid, "rtap")
	if len(servers) != 1 {
		t.Fatalf("servers %v", servers)
	}
	server := servers[0]
	if err := syscall.Kill(server, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(server, syscall.SIGCONT) }()
	time.Sleep(500 * time.Millisecond)
	asked := time.Now()
	for _, w := range running {
		w.signal(syscall.SIGTERM)
	}
	for s, w := range running {
		if state := w.await(t); !state.Success() {
			t.Errorf("%s: %v", s, state)
		}
	}
	if took := time.Since(asked); took > 3*limit { // as much again and more for a machine that is busy
		t.Errorf("stopped after %v", took)
	}
	if err := syscall.Kill(server, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
}

// TestStoppedCaptureIsStartedAgain: under a pipeline only the end of its sources is the end of
// capture; one that somebody stopped comes back.
func TestStoppedCaptureIsStartedAgain(t *testing.T) {
	p := up(t, "--source", "listen")
	ready(t, p)
	before := p.child(t, "capture")
	if err := syscall.Kill(before, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	within(t, "capture is back", func() bool { now := p.child(t, "capture"); return now != 0 && now != before })
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
}
