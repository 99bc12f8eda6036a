package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Sound is a sound server of the rig's own whose null sinks are microphones: what is played
// to one is what a device hears.
type Sound struct {
	environ []string
	server  *Process
}

// ahead is the priority of the room: a sound server that starves on a busy machine loses what
// is played, which is nobody's fault here. Who may not ask for it gets the usual one.
const ahead = "-20"

// HasSound says whether the programs for it are installed.
func HasSound() bool {
	for _, program := range []string{"pulseaudio", "pactl", "paplay"} {
		if _, err := exec.LookPath(program); err != nil {
			return false
		}
	}
	return true
}

// sound starts a server with so many sinks.
func (r *Rig) sound(ctx context.Context, sinks int) (*Sound, error) {
	dir, err := os.MkdirTemp("", "rtap-pulse") // a unix socket's path must be short
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s := &Sound{environ: []string{"XDG_RUNTIME_DIR=" + dir, "HOME=" + dir, "PULSE_SERVER=unix:" + filepath.Join(dir, "native")}}
	args := []string{"-n", ahead, "pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "-L", "module-native-protocol-unix auth-anonymous=1 socket=" + filepath.Join(dir, "native")}
	for n := range sinks {
		args = append(args, "-L", fmt.Sprintf("module-null-sink sink_name=chaos%d rate=16000 channels=1", n+1))
	}
	path, err := exec.LookPath("nice")
	if err != nil {
		return nil, fmt.Errorf("finding a sound server: %w", err)
	}
	s.server = &Process{Name: "pulseaudio", path: path, args: args, environ: s.environ[:2], log: r.log, restart: time.Second}
	s.server.start()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if s.command(ctx, "pactl", "info").Run() == nil {
			return s, nil
		}
	}
	s.server.Close()
	return nil, fmt.Errorf("pulseaudio does not answer; see %s", r.Log())
}

func (s *Sound) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), s.environ...)
	return cmd
}

// Record captures a device for each stream and plays its file there; stop ends the capture
// when everything has been played.
func (r *Rig) Record(ctx context.Context, streams, files []string, length time.Duration) (stop func(), err error) {
	s, err := r.sound(ctx, len(streams))
	if err != nil {
		return nil, err
	}
	args := r.args("capture", "http.capture=127.0.0.1:0", "audio.backend=pulseaudio")
	for n, stream := range streams {
		args = append(args, "--source", fmt.Sprintf("mic:chaos%d?stream=%s", n+1, stream))
	}
	p := r.add(Capture1, "rtap-capture", args...)
	p.environ, p.mayEnd = append(p.environ, s.environ...), true
	p.start()
	if err := r.Ready(ctx, map[string]int{"capture": 1}); err != nil {
		s.server.Close()
		return nil, err
	}
	time.Sleep(time.Second)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for n, file := range files {
			cmd := s.command(ctx, "nice", "-n", ahead, "paplay", "-d", fmt.Sprintf("chaos%d", n+1), file)
			if err := cmd.Start(); err != nil {
				r.Note("playing: %v", err)
				continue
			}
			go func() { _ = cmd.Wait() }()
		}
		select {
		case <-ctx.Done():
		case <-time.After(length + 10*time.Second):
		}
	}()
	return func() {
		<-over
		p.Close() // asked to stop, it ends its streams
		delete(r.Processes, Capture1)
		s.server.Close()
	}, nil
}
