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
	ports := freePorts(t, 4)
	more := map[string][]string{
		"egress": {
			"--set", fmt.Sprintf("egress.http_port=%d", ports[0]), "--set", fmt.Sprintf("egress.websocket.port=%d", ports[1]),
			"--set", fmt.Sprintf("egress.zmq.transcript_port=%d", ports[2]), "--set", fmt.Sprintf("egress.zmq.event_port=%d", ports[3]),
		},
		"capture": {"--source", "mock?stream=talk"},
	}
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
