package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
)

// smallDisk mounts a file system of so many MB, which needs root.
func smallDisk(t *testing.T, mb int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mb)); err != nil {
		if errors.Is(err, unix.EPERM) && os.Getenv("RTAP_REQUIRE_NATIVE") == "" {
			t.Skip("mounting a small disk needs root")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no space on the disk of dir, and returns how to free it.
func fill(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// reasons asks the gateway how all is.
func (p *pipeline) reasons(t *testing.T) (code int, all string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", p.http), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	var body json.RawMessage
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return res.StatusCode, err.Error()
	}
	return res.StatusCode, string(body)
}

// TestFullDiskIsLoudAndOverWhenSpaceReturns fills the server's disk while a recording plays.
func TestFullDiskIsLoudAndOverWhenSpaceReturns(t *testing.T) {
	disk := smallDisk(t, 256)
	recording := long(t)
	want := undisturbed(t, recording)
	p := up(t, "--until-done", "--data-dir", filepath.Join(disk, "data"), "--source", "file:"+recording+"?stream=talk")
	ready(t, p)
	first := p.first(t, "talk")
	empty := fill(t, disk)
	const said = "the server's disk is full"
	deadline := time.Now().Add(3 * time.Minute)
	for {
		code, all := p.reasons(t)
		if code == http.StatusServiceUnavailable && strings.Contains(all, "free space there, then restart the server") && strings.Contains(all, `"degraded"`) {
			if !strings.Contains(all, said) {
				t.Logf("the cause was not to be found: %s", all)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/health says %d %s", code, all)
		}
		time.Sleep(100 * time.Millisecond)
	}
	empty()
	deadline = time.Now().Add(3 * time.Minute)
	for {
		code, all := p.reasons(t)
		if code == http.StatusOK && !strings.Contains(all, `"degraded"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("with space again /health says %d %s", code, all)
		}
		time.Sleep(100 * time.Millisecond)
	}
	got := p.finals(t)["talk"]
	whole(t, want, got)
	// What was out before is untouched by it.
	for _, finals := range [][]*rtapv1.Results{want, got} {
		if len(finals) == 0 || text(finals[:1]) != text([]*rtapv1.Results{first}) {
			t.Errorf("the first final was %q, among %s", text([]*rtapv1.Results{first}), text(finals))
		}
	}
}

// first waits for a stream's first final.
func (p *pipeline) first(t *testing.T, stream string) *rtapv1.Results {
	t.Helper()
	ws := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=%s&from_seq=1", p.ws, stream))
	defer func() { _ = ws.Close() }()
	_ = ws.SetReadDeadline(time.Now().Add(2 * time.Minute))
	for {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("waiting for the first final: %v", err)
		}
		if r := (&rtapv1.Results{}); protojson.Unmarshal(data, r) == nil && r.GetIsFinal() {
			return r
		}
	}
}

// TestServerComesBackEmpty takes the server's data away while it is dead: everything is made
// anew, with another log, and what is spoken from then on, and what the ring still holds, comes.
func TestServerComesBackEmpty(t *testing.T) {
	data := t.TempDir()
	p := up(t, "--data-dir", data, "--source", "mock?stream=talk")
	ready(t, p)
	collect := make(chan final, 1024)
	go func() {
		defer close(collect)
		for p.out.Scan() {
			var f final
			if json.Unmarshal(p.out.Bytes(), &f) == nil && f.Type == "Results" {
				collect <- f
			}
		}
	}()
	next := func(what string, is func(final) bool) final {
		t.Helper()
		timeout := time.After(3 * time.Minute)
		for {
			select {
			case f, ok := <-collect:
				if !ok {
					t.Fatalf("%s: the pipeline ended", what)
				}
				if is(f) {
					return f
				}
			case <-timeout:
				t.Fatalf("%s: never", what)
			}
		}
	}
	before := next("a final", func(f final) bool { return f.Rtap.StreamID == "talk" && f.Rtap.Seq >= 3 })
	server := children(t, p.cmd.Process.Pid, "rtap")
	if len(server) != 1 {
		t.Fatalf("servers %v", server)
	}
	// It may have been started again before the folder is gone, and then once more.
	if err := syscall.Kill(server[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(data, "nats", "jetstream")); err != nil {
		t.Fatal(err)
	}
	after := next("a final of another log", func(f final) bool { return f.Rtap.StreamID == "talk" && f.Rtap.LogID != before.Rtap.LogID })
	if after.Rtap.Seq != 1 {
		t.Errorf("the new log begins with %d", after.Rtap.Seq)
	}
	for want := uint32(2); want < 6; want++ {
		f := next("the next final", func(f final) bool { return f.Rtap.StreamID == "talk" })
		if f.Rtap.Seq != want || f.Rtap.LogID != after.Rtap.LogID {
			t.Errorf("final %d of log %s, want %d of %s", f.Rtap.Seq, f.Rtap.LogID, want, after.Rtap.LogID)
		}
	}
	within(t, "all stages are ready", func() bool { code, _ := p.reasons(t); return code == http.StatusOK })
	// Who holds a number of the log before is told.
	url := fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=talk&from_seq=%d&log_id=%s", p.ws, before.Rtap.Seq, before.Rtap.LogID)
	_, res, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err == nil || res == nil {
		t.Fatalf("a number of the log before was taken: %v", err)
	}
	reason, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusConflict || !strings.Contains(string(reason), "is another log") {
		t.Errorf("a number of the log before: %d %s", res.StatusCode, reason)
	}
	p.terminate()
	for range collect {
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// final is what these tests need of one.
type final struct {
	Type string
	Rtap struct {
		StreamID string `json:"stream_id"`
		Seq      uint32
		LogID    string `json:"log_id"`
	}
}
