package test

import (
	"os"
	"os/exec"
	"strings"
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

func TestVirtualMicrophone(t *testing.T) {
	environ := pulse(t)
	for _, kv := range environ[len(environ)-3:] {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	p := up(t, "--source", "mic:virtmic", "--set", "audio.backend=pulseaudio")
	ready(t, p)
	play := exec.CommandContext(t.Context(), "paplay", "-d", "virtmic", testkit.Audio(t, "jfk.wav"))
	play.Env = environ
	if out, err := play.CombinedOutput(); err != nil {
		t.Fatalf("paplay: %v: %s", err, out)
	}
	// Silence after the clip closes the last segment; then a clean stop ends the output.
	time.Sleep(3 * time.Second)
	p.terminate()
	got := p.finals(t)["mic"]
	if errs, words := wer.Errors(jfk, text(got)); errs > words/4 {
		t.Errorf("%d of %d words wrong: %s", errs, words, text(got))
	}
}
