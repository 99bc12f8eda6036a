package test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// asleep is a process that wakes when another one has its work.
const asleep = "asleep for three seconds"

// fell is what can become of a process; each leaves the stream to another one.
var fell = map[string]func(pid int) error{
	"killed": func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) },
	asleep: func(pid int) error {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
			return err
		}
		time.Sleep(3 * time.Second)
		return syscall.Kill(pid, syscall.SIGCONT)
	},
	"stopped": func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) },
}

// spoken checks that a stream's log has what was said, n times, each word of it once.
func spoken(t *testing.T, finals []*rtapv1.Results, n int) {
	t.Helper()
	want, got := strings.Repeat(jfk+" ", n), text(finals)
	// The recogniser errs three times in it; a phrase that is lost or doubled has five words or more.
	if errs, words := wer.Errors(want, got); errs > 4*n {
		t.Errorf("%d of %d words wrong: %s", errs, words, got)
	}
	var last uint32
	segments := map[string]bool{}
	for _, r := range finals {
		if seq := r.GetRtap().GetSeq(); seq != last+1 {
			t.Errorf("number %d follows %d", seq, last)
		}
		last = r.GetRtap().GetSeq()
		if id := r.GetRtap().GetSegmentId(); segments[id] {
			t.Errorf("segment %s has two finals", id)
		} else {
			segments[id] = true
		}
	}
}

// TestAnotherVADTakesOver: of two processes that segment streams the one at work falls in the
// middle of speech, three times, and every word comes once.
func TestAnotherVADTakesOver(t *testing.T) {
	for name, fall := range fell {
		t.Run(name, func(t *testing.T) {
			p := up(t, "--source", "mock?repeat=3&stream=talk")
			ready(t, p)
			second := begin(t, "vad", p.url(), "")
			fallen := 0
			for range 3 {
				time.Sleep(time.Duration(3000+rand.IntN(3000)) * time.Millisecond)
				var pid int
				within(t, "a vad works", func() bool {
					pid = p.holder(t, "vad", "talk")
					return pid != 0 && pid != fallen
				})
				if err := fall(pid); err != nil {
					t.Fatal(err)
				}
				fallen = pid
				if pid == second.cmd.Process.Pid && name != asleep {
					if state := second.await(t); name == "stopped" && !state.Success() {
						t.Errorf("a vad that was stopped ended with %v", state)
					}
					second = begin(t, "vad", p.url(), "")
				}
			}
			spoken(t, p.logged(t, "talk"), 3)
			p.terminate()
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("rtap up: %v", err)
			}
		})
	}
}

// TestAnotherCaptureTakesOver: two processes have the same file; when the one that plays it
// falls, the other goes on with it.
func TestAnotherCaptureTakesOver(t *testing.T) {
	for name, fall := range fell {
		if name == "stopped" {
			continue // who stops capture ends its files
		}
		t.Run(name, func(t *testing.T) {
			p := up(t, "--source", "listen")
			ready(t, p)
			source := []string{"--source", fmt.Sprintf("file:%s?pace=realtime&stream=talk", testkit.Audio(t, "jfk.wav"))}
			first := begin(t, "capture", p.url(), "one", source...)
			within(t, "the first one has the file", func() bool { return p.holder(t, "capture", "talk") == first.cmd.Process.Pid })
			second := begin(t, "capture", p.url(), "one", source...)
			time.Sleep(time.Duration(3000+rand.IntN(2000)) * time.Millisecond)
			if err := fall(first.cmd.Process.Pid); err != nil {
				t.Fatal(err)
			}
			within(t, "the second one has the file", func() bool { return p.holder(t, "capture", "talk") == second.cmd.Process.Pid })
			spoken(t, p.logged(t, "talk"), 1)
			if code := second.await(t).ExitCode(); code != 3 {
				t.Errorf("the second capture ended with %d, want 3 for a file that has been played", code)
			}
			p.terminate()
			if err := p.cmd.Wait(); err != nil {
				t.Errorf("rtap up: %v", err)
			}
		})
	}
}

// TestTwoVADsShareTheStreams: of six streams that begin together no process has all.
func TestTwoVADsShareTheStreams(t *testing.T) {
	p := up(t, "--source", "listen")
	ready(t, p)
	begin(t, "vad", p.url(), "")
	within(t, "the second one is there", func() bool { return len(p.works(t, "vad")) == 2 })
	var sources []string
	const streams = 6
	for n := range streams {
		sources = append(sources, "--source", fmt.Sprintf("mock?repeat=3&stream=s%d", n+1))
	}
	begin(t, "capture", p.url(), "", sources...)
	var works map[int][]string
	within(t, "all streams are followed", func() bool {
		n := 0
		works = p.works(t, "vad")
		for _, of := range works {
			n += len(of)
		}
		return len(works) == 2 && n == streams
	})
	for _, of := range works {
		if len(of) == 0 {
			t.Errorf("shared as %v", works)
		}
	}
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
}
