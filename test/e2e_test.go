// Package test runs the real binaries as a user would.
package test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pebbe/zmq4"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

const jfk = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."

// pipeline is a running `rtap up` on ports of its own.
type pipeline struct {
	cmd             *exec.Cmd
	out             *bufio.Scanner
	http, ws, feed  int
	events, natsTCP int
}

func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var out []int
	for range n {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		out = append(out, l.Addr().(*net.TCPAddr).Port)
	}
	return out
}

func rtap(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testkit.Root(t), "bin", "rtap")
	_, err := os.Stat(path)
	testkit.RequireNative(t, err)
	return path
}

func up(t *testing.T, args ...string) *pipeline {
	t.Helper()
	ports := freePorts(t, 5)
	p := &pipeline{http: ports[0], ws: ports[1], feed: ports[2], events: ports[3], natsTCP: ports[4]}
	args = append([]string{"up", "--json", "--data-dir", t.TempDir()}, args...)
	for key, port := range map[string]int{
		"egress.http_port": p.http, "egress.websocket.port": p.ws, "egress.zmq.transcript_port": p.feed,
		"egress.zmq.event_port": p.events, "nats.embedded.port": p.natsTCP,
	} {
		args = append(args, "--set", fmt.Sprintf("%s=%d", key, port))
	}
	p.cmd = exec.CommandContext(t.Context(), rtap(t), args...)
	p.cmd.Dir = testkit.Root(t)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 30 * time.Second
	p.cmd.Stderr = t.Output()
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(stdout)
	p.out.Buffer(nil, 1<<20)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// finals collects what the pipeline prints until it exits with 0.
func (p *pipeline) finals(t *testing.T) map[string][]*rtapv1.Results {
	t.Helper()
	out := map[string][]*rtapv1.Results{}
	for p.out.Scan() {
		r := &rtapv1.Results{}
		if err := protojson.Unmarshal(p.out.Bytes(), r); err != nil {
			t.Fatalf("stdout: %v: %s", err, p.out.Text())
		}
		id := r.GetRtap().GetStreamId()
		if got, want := int(r.GetRtap().GetSeq()), len(out[id])+1; got != want {
			t.Errorf("%s: seq %d, want %d", id, got, want)
		}
		out[id] = append(out[id], r)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("rtap up: %v", err)
	}
	return out
}

func text(finals []*rtapv1.Results) string {
	var out []string
	for _, r := range finals {
		out = append(out, r.GetChannel().GetAlternatives()[0].GetTranscript())
	}
	return strings.Join(out, " ")
}

func TestSpeechReachesBothFeeds(t *testing.T) {
	p := up(t, "--until-done", "--source", "mock?repeat=1&stream=talk")
	sub, err := zmq4.NewSocket(zmq4.SUB)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Close() }()
	if err := sub.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", p.feed)); err != nil {
		t.Fatal(err)
	}
	_ = sub.SetSubscribe("transcript")
	_ = sub.SetRcvtimeo(60 * time.Second)
	ws := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?interim_results=true", p.ws))
	defer func() { _ = ws.Close() }()
	var viaZMQ, viaWS []*rtapv1.Results
	interims := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			r := &rtapv1.Results{}
			if protojson.Unmarshal(data, r) != nil {
				continue // UtteranceEnd or StreamEnd
			}
			if !r.GetIsFinal() {
				interims++
				continue
			}
			viaWS = append(viaWS, r)
		}
	}()
	for ended := false; !ended; {
		frames, err := sub.RecvMessageBytes(0)
		if err != nil {
			t.Fatalf("zmq: %v", err)
		}
		if len(frames) != 3 || string(frames[0]) != "transcript.talk" {
			t.Fatalf("zmq frames %q", frames)
		}
		var head struct{ Type string }
		_ = json.Unmarshal(frames[1], &head)
		if head.Type == "Results" {
			r := &rtapv1.Results{}
			if err := protojson.Unmarshal(frames[1], r); err != nil {
				t.Fatal(err)
			}
			if n := binary.LittleEndian.Uint32(frames[2]); n != r.GetRtap().GetSeq() {
				t.Errorf("third frame %d, seq %d", n, r.GetRtap().GetSeq())
			}
			viaZMQ = append(viaZMQ, r)
		}
		ended = head.Type == "StreamEnd"
	}
	printed := p.finals(t)["talk"]
	<-done
	for name, got := range map[string][]*rtapv1.Results{"stdout": printed, "zmq": viaZMQ, "websocket": viaWS} {
		if errs, words := wer.Errors(jfk, text(got)); errs > words/7 {
			t.Errorf("%s: %d of %d words wrong: %s", name, errs, words, text(got))
		}
	}
	if text(viaZMQ) != text(viaWS) {
		t.Errorf("feeds differ:\nzmq %s\nws  %s", text(viaZMQ), text(viaWS))
	}
	if interims == 0 {
		t.Error("no interim came")
	}
}

// dial retries while the gateway starts.
func dial(t *testing.T, url string) *websocket.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		c, res, err := websocket.DefaultDialer.DialContext(ctx, url, nil)
		if res != nil {
			_ = res.Body.Close()
		}
		if err == nil {
			return c
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", url, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func TestTwoFilesTwoWorkersFast(t *testing.T) {
	clip := testkit.Audio(t, "jfk.wav")
	p := up(t, "--until-done", "--stt", "2", "--source", "file:"+clip+"?pace=fast&stream=a", "--source", "file:"+clip+"?pace=fast&stream=b")
	got := p.finals(t)
	for _, id := range []string{"a", "b"} {
		if errs, words := wer.Errors(jfk, text(got[id])); errs > words/7 {
			t.Errorf("%s: %d of %d words wrong: %s", id, errs, words, text(got[id]))
		}
	}
}

// terminate asks the pipeline to stop.
func (p *pipeline) terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// ready waits until every stage says that it is.
func ready(t *testing.T, p *pipeline) {
	t.Helper()
	url := fmt.Sprintf("http://127.0.0.1:%d/health", p.http)
	deadline := time.Now().Add(60 * time.Second)
	for code := 0; code != http.StatusOK; {
		if time.Now().After(deadline) {
			t.Fatalf("%s stays at %d", url, code)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			code = res.StatusCode
			_ = res.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestHealthTellsWhenReady(t *testing.T) {
	p := up(t, "--source", "mock")
	ready(t, p)
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestBadInputExitsWithTwo(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.wav")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ source, want string }{
		"missing file": {"file:/nowhere.wav", "/nowhere.wav"}, "empty file": {"file:" + empty, "it is empty"},
		"bad stream id": {"mock?stream=a.b", "A-Z a-z 0-9"}, "bad uri": {"tape", "want mic"},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(rtap(t)), "rtap-capture"), "--source", tt.source)
		cmd.Dir = testkit.Root(t)
		out, _ := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), tt.want) {
			t.Errorf("%s: exit code %d: %s", name, cmd.ProcessState.ExitCode(), out)
		}
	}
}
