package test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// users are those of deploy/nats/users.conf; here a user's password is its name backwards.
var users = []string{"capture", "vad", "stt", "egress", "operator"}

func password(user string) string {
	var out strings.Builder
	for i := len(user) - 1; i >= 0; i-- {
		out.WriteByte(user[i])
	}
	return out.String()
}

// guarded starts a server with the users that are shipped, and returns its address and what
// it has refused.
func guarded(t *testing.T, more string) (*server.Server, *refusals) {
	t.Helper()
	dir := t.TempDir()
	shipped, err := os.ReadFile(filepath.Join(testkit.Root(t), "deploy/nats/users.conf"))
	if err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf("port: -1\nserver_name: test\njetstream {store_dir: %q, max_file_store: 8GB}\n%s\n", filepath.Join(dir, "js"), more)
	for name, content := range map[string]string{"users.conf": string(shipped), "server.conf": conf + "include users.conf\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, u := range users {
		t.Setenv("NATS_"+strings.ToUpper(u)+"_PASSWORD", password(u))
	}
	opts, err := server.ProcessConfigFile(filepath.Join(dir, "server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	opts.NoSigs, opts.Host = true, "127.0.0.1"
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	log := &refusals{}
	s.SetLogger(log, false, false)
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the nats server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s, log
}

// refusals is a server's log of which only violations are kept.
type refusals struct {
	mu    sync.Mutex
	lines []string
}

func (r *refusals) Noticef(string, ...any)    {}
func (r *refusals) Warnf(string, ...any)      {}
func (r *refusals) Debugf(string, ...any)     {}
func (r *refusals) Tracef(string, ...any)     {}
func (r *refusals) Fatalf(f string, a ...any) { r.Errorf(f, a...) }
func (r *refusals) Errorf(f string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if line := fmt.Sprintf(f, a...); strings.Contains(line, "iolation") {
		r.lines = append(r.lines, line)
	}
}

func (r *refusals) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

// TestEachServiceWorksWithinItsAllowList plays a recording through processes that each come
// to the bus as their own user, and the operator's commands over them.
func TestEachServiceWorksWithinItsAllowList(t *testing.T) {
	s, refused := guarded(t, "")
	bin := filepath.Dir(rtap(t))
	ports := freePorts(t, 4)
	environ := append(os.Environ(), "RTAP_OPERATOR_PASSWORD="+password("operator"))
	start := func(service string, args ...string) *exec.Cmd {
		args = append([]string{
			"--set", "nats.url=" + s.ClientURL(), "--set", "nats.user=" + service, "--set", "nats.password=" + password(service),
			"--set", "nats.inbox_prefix=_INBOX_" + service,
		}, args...)
		cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "rtap-"+service), args...)
		cmd.Dir, cmd.Stderr = testkit.Root(t), t.Output()
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		cmd.WaitDelay = time.Minute
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Wait() }) // the test's context has ended it
		return cmd
	}
	// A gateway of another profile, and first: it makes the streams.
	start("egress", "--set", "streams.audio.max_age=30m", "--set", fmt.Sprintf("egress.http_port=%d", ports[0]), "--set", fmt.Sprintf("egress.websocket.port=%d", ports[1]),
		"--set", fmt.Sprintf("egress.zmq.transcript_port=%d", ports[2]), "--set", fmt.Sprintf("egress.zmq.event_port=%d", ports[3]))
	start("stt", "--set", "http.stt=127.0.0.1:0")
	start("vad", "--set", "http.vad=127.0.0.1:0")
	// One dies as soon as there is a text, and the other goes on.
	source := []string{"--set", "http.capture=127.0.0.1:0", "--source", "mock?repeat=1&stream=talk"}
	first := start("capture", source...)

	operator := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), rtap(t), append(args, "--set", "nats.url="+s.ClientURL())...)
		cmd.Dir, cmd.Env = testkit.Root(t), environ
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("rtap %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	ws := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=talk&from_seq=1&interim_results=true", ports[1]))
	defer func() { _ = ws.Close() }()
	var heard string
	for !strings.Contains(heard, "StreamEnd") {
		if heard != "" && first.Process.Signal(syscall.SIGKILL) == nil {
			start("capture", source...)
			_ = first.Wait()
		}
		_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("%v\nrefused: %s", err, strings.Join(refused.all(), "\n"))
		}
		heard += string(data)
	}
	if !strings.Contains(strings.ToLower(heard), "country") {
		t.Errorf("heard %.300s", heard)
	}
	operator("config", "set", "stt.threads", "1")
	operator("config", "unset", "stt.threads")
	gateway := []string{"--set", fmt.Sprintf("egress.http_port=%d", ports[0])}
	if out := operator(append([]string{"top", "--once"}, gateway...)...); strings.Contains(out, "can be seen") || !strings.Contains(out, "vad") {
		t.Errorf("rtap top sees too little:\n%s", out)
	}
	if out := operator(append([]string{"profile", "goroutines", "--process", "vad"}, gateway...)...); !strings.Contains(out, "goroutines") {
		t.Errorf("rtap profile:\n%s", out)
	}
	// A retry of what was given up makes the worker remove the letter.
	cfg := config.Default()
	cfg.NATS.URL, cfg.NATS.User, cfg.NATS.Password, cfg.NATS.InboxPrefix = s.ClientURL(), "operator", password("operator"), "_INBOX_operator"
	b := testkit.Connect(t, cfg)
	audio, err := os.ReadFile(testkit.Audio(t, "jfk.wav"))
	if err != nil {
		t.Fatal(err)
	}
	const header, seconds = 44, 3
	letter := &rtapv1.DeadJob{Job: &rtapv1.FinalJob{StreamId: "other", Ordinal: 1, SegmentId: "other-1-1", Pcm: audio[header : header+2*16000*seconds]}}
	if err := b.PublishDead(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if out := operator("dead", "retry", "--all"); !strings.Contains(out, "1: transcribed; its text comes as a late final") {
		t.Errorf("the retry: %s", out)
	}
	if out := operator("dead", "list"); !strings.Contains(out, "no segment was given up") {
		t.Errorf("after the retry: %s", out)
	}
	operator("backup", t.TempDir())
	if out := operator(append([]string{"diagnostics"}, gateway...)...); strings.Contains(out, "ermissions") {
		t.Errorf("rtap diagnostics is refused something:\n%s", out)
	}
	if lines := refused.all(); len(lines) > 0 {
		t.Errorf("refused:\n%s", strings.Join(lines, "\n"))
	}
}

func TestAllowListsKeepOut(t *testing.T) {
	s, _ := guarded(t, "")
	if c, err := nats.Connect(s.ClientURL()); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("without a name: %v", err)
		c.Close()
	}
	for _, tt := range []struct{ user, publish, subscribe string }{
		{user: "capture", publish: "rtap.v1.result.mic.1"},
		{user: "capture", publish: "rtap.v1.transcript.mic.final"},
		{user: "capture", publish: "$JS.API.CONSUMER.CREATE.RTAP_TRANSCRIPTS.x"},
		{user: "capture", publish: "$KV.rtap_checkpoints.mic"},
		{user: "capture", subscribe: "rtap.v1.>"},
		{user: "capture", subscribe: "_INBOX_egress.>"},
		{user: "capture", subscribe: "_INBOX.>"},
		{user: "capture", publish: "$JS.API.STREAM.UPDATE.RTAP_TRANSCRIPTS"},
		{user: "vad", publish: "rtap.v1.audio.mic"},
		{user: "vad", publish: "rtap.v1.transcript.mic.final"},
		{user: "vad", publish: "rtap.v1.event.egress.state"},
		{user: "stt", publish: "rtap.v1.transcript.mic.final"},
		{user: "stt", publish: "rtap.v1.job.final.mic"},
		{user: "stt", publish: "$KV.rtap_config.stt.model"},
		{user: "stt", publish: "$JS.API.STREAM.PURGE.RTAP_JOBS"},
		{user: "egress", publish: "rtap.v1.audio.mic"},
		{user: "egress", publish: "rtap.v1.result.mic.1"},
		{user: "egress", publish: "$KV.rtap_config.stt.model"},
		{user: "egress", publish: "$JS.API.STREAM.DELETE.RTAP_TRANSCRIPTS"},
		{user: "egress", publish: "$JS.API.STREAM.UPDATE.RTAP_TRANSCRIPTS"},
		{user: "egress", publish: "$JS.API.CONSUMER.CREATE.RTAP_AUDIO.x"},
		{user: "egress", subscribe: "rtap.v1.audio.*"},
		{user: "operator", publish: "$SYS.REQ.SERVER.PING"},
		{user: "operator", subscribe: "_INBOX_stt.>"},
	} {
		t.Run(tt.user+" "+tt.publish+tt.subscribe, func(t *testing.T) {
			u, err := url.Parse(s.ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword(tt.user, password(tt.user))
			refused := make(chan error, 4)
			c, err := nats.Connect(u.String(), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if tt.publish != "" {
				err = c.Publish(tt.publish, nil)
			} else {
				_, err = c.SubscribeSync(tt.subscribe)
			}
			if err = errors.Join(err, c.Flush()); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-refused:
				if !errors.Is(err, nats.ErrPermissionViolation) {
					t.Error(err)
				}
			case <-time.After(10 * time.Second):
				t.Error("it was let through")
			}
		})
	}
}
