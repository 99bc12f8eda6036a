package test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
)

// pulse starts a PulseAudio of the test's own with a null sink, whose monitor is the microphone.
func pulse(t *testing.T) (environ []string) {
	t.Helper()
	for _, program := range []string{"pulseaudio", "pactl", "paplay"} {
		_, err := exec.LookPath(program)
		testkit.RequireNative(t, err)
	}
	dir, err := os.MkdirTemp("", "rtap-pulse") // a unix socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	environ = append(os.Environ(), "XDG_RUNTIME_DIR="+dir, "HOME="+dir, "PULSE_SERVER=unix:"+dir+"/native")
	server := exec.CommandContext(t.Context(), "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+dir+"/native", "-L", "module-null-sink sink_name=virtmic")
	server.Env = environ[:len(environ)-1]
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		probe := exec.CommandContext(t.Context(), "pactl", "info")
		probe.Env = environ
		if probe.Run() == nil {
			return environ
		}
		if time.Now().After(deadline) {
			t.Fatal("pulseaudio does not answer")
		}
	}
}

// virtual is a pipeline that records a virtual microphone; play is what somebody says there.
func virtual(t *testing.T, args ...string) (p *pipeline, play func(file string) (heard func())) {
	t.Helper()
	environ := pulse(t)
	for _, kv := range environ[len(environ)-3:] {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	p = up(t, append([]string{"--source", "mic:virtmic", "--set", "audio.backend=pulseaudio"}, args...)...)
	ready(t, p)
	return p, func(file string) func() {
		cmd := exec.CommandContext(t.Context(), "paplay", "-d", "virtmic", testkit.Audio(t, file))
		cmd.Env = environ
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return func() {
			t.Helper()
			if err := cmd.Wait(); err != nil {
				t.Fatalf("paplay: %v: %s", err, out.String())
			}
		}
	}
}

func TestVirtualMicrophone(t *testing.T) {
	p, play := virtual(t)
	play("jfk.wav")()
	// Silence after the clip closes the last segment; then a clean stop ends the output.
	time.Sleep(3 * time.Second)
	p.terminate()
	got := p.finals(t)["mic"]
	if errs, words := wer.Errors(jfk, text(got)); errs > words/4 {
		t.Errorf("%d of %d words wrong: %s", errs, words, text(got))
	}
}

// TestMicrophoneInALongOutage: what does not fit into the ring while the bus is away is counted
// while it is lost, and is a gap in a final afterwards.
func TestMicrophoneInALongOutage(t *testing.T) {
	p, play := virtual(t, "--set", "audio.ring_buffer_size_ms=1000")
	capture := addresses(t, p)["capture"]
	if len(capture) != 1 {
		t.Fatalf("capture answers at %v", capture)
	}
	losses := func() float64 {
		return metric(t, capture[0], `rtap_errors_total{kind="ring_overrun",stage="capture"}`)
	}
	heard := play("jfk.wav")
	time.Sleep(3 * time.Second)
	server := children(t, p.cmd.Process.Pid, "rtap")
	if len(server) != 1 {
		t.Fatalf("servers %v", server)
	}
	before := losses() // none, unless the machine is very busy
	if err := syscall.Kill(server[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	within(t, "the loss is counted while the bus is away", func() bool { return losses() > before })
	if err := syscall.Kill(server[0], syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	heard()
	play("jfk.wav")()
	time.Sleep(3 * time.Second)
	p.terminate()
	gap := uint32(0)
	got := p.finals(t)["mic"]
	for _, r := range got {
		gap += r.GetRtap().GetGapMs()
	}
	if gap == 0 {
		t.Errorf("no final says that something is missing: %s", text(got))
	}
}
