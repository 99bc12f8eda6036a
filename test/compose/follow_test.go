//go:build compose

package compose

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/pebbe/zmq4"
)

// stream is what the mock in place of the microphone is called.
const stream = "mic"

type message struct {
	Type    string
	Final   bool `json:"is_final"`
	Channel struct {
		Alternatives []struct{ Transcript string }
	}
	RTAP struct{ Seq int } `json:"rtap"`
}

func (m message) text() string {
	if len(m.Channel.Alternatives) == 0 {
		return ""
	}
	return m.Channel.Alternatives[0].Transcript
}

// follower is a client as the contract wants it: it reads finals from whichever gateway
// answers, and after a loss resumes behind the last number that it has.
type follower struct {
	mu      sync.Mutex
	last    int
	text    []string
	faults  []string
	resumed int
	header  http.Header // with the token, where one is wanted
}

func follow(t *testing.T) *follower {
	t.Helper()
	f := &follower{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			f.read(ctx, []int{5802, 5812}[n%2])
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *follower) read(ctx context.Context, port int) {
	f.mu.Lock()
	url := fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=%s&from_seq=%d", port, stream, f.last+1)
	header := f.header
	f.mu.Unlock()
	c, res, err := websocket.DefaultDialer.DialContext(ctx, url, header)
	if res != nil {
		_ = res.Body.Close()
	}
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer func() { _ = c.Close() }()
	f.mu.Lock()
	f.resumed++
	f.mu.Unlock()
	for {
		// A gateway that was cut off without a word is left.
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		_, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		f.take(data)
	}
}

func (f *follower) take(data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m.Type != "Results" || !m.Final {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if m.RTAP.Seq != f.last+1 {
		f.faults = append(f.faults, fmt.Sprintf("%d came after %d", m.RTAP.Seq, f.last))
	}
	f.last = m.RTAP.Seq
	f.text = append(f.text, m.text())
}

// shows has the client show a token from its next connection on.
func (f *follower) shows(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.header = bearer(token)
}

func bearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func (f *follower) position() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// goesOn waits until a few more finals have come, the recording's last words among them.
func (f *follower) goesOn(t *testing.T) {
	t.Helper()
	from := f.position()
	within(t, 2*time.Minute, "no words arrive", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.last >= from+2 && strings.Contains(strings.ToLower(strings.Join(f.text[from:], " ")), "country")
	})
}

// check fails the test where a number was lost, doubled or out of order.
func (f *follower) check(t *testing.T) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) > 0 {
		t.Errorf("of %d finals: %s", f.last, strings.Join(f.faults, "; "))
	}
	t.Logf("%d finals without a hole, over %d connections", f.last, f.resumed)
}

// hear waits for the recording's last word on a ZeroMQ port.
func hear(t *testing.T, port int) {
	t.Helper()
	sub, err := zmq4.NewSocket(zmq4.SUB)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Close() }()
	if err := sub.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", port)); err != nil {
		t.Fatal(err)
	}
	_ = sub.SetSubscribe("transcript")
	_ = sub.SetRcvtimeo(time.Second)
	within(t, time.Minute, fmt.Sprintf("no words on port %d", port), func() bool {
		frames, err := sub.RecvMessageBytes(0)
		if err != nil || len(frames) != 3 {
			return false
		}
		var m message
		return json.Unmarshal(frames[1], &m) == nil && strings.Contains(strings.ToLower(m.text()), "country")
	})
}

func within(t *testing.T, limit time.Duration, complaint string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint)
		}
	}
}
