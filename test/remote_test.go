package test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// remote is a client of /v1/listen.
type remote struct {
	conn   *websocket.Conn
	stream string
	writes sync.Mutex
	done   chan struct{} // closed when the connection is
	code   int
	reason string

	mu       sync.Mutex
	messages []map[string]any
	finals   []*rtapv1.Results
}

// listening starts a pipeline for remote clients.
func listening(t *testing.T, args ...string) *pipeline {
	t.Helper()
	p := up(t, append([]string{"--source", "listen"}, args...)...)
	go func() {
		for p.out.Scan() { // what it prints is checked elsewhere
		}
	}()
	t.Cleanup(func() { _ = p.cmd.Wait() }) // the test's context has ended it
	ready(t, p)
	return p
}

// call connects a client.
func (p *pipeline) call(t *testing.T, query string) *remote {
	t.Helper()
	conn, res, err := websocket.DefaultDialer.DialContext(t.Context(), fmt.Sprintf("ws://127.0.0.1:%d/v1/listen?encoding=linear16&%s", p.ws, query), nil)
	if err != nil {
		why := http.Header{}
		if res != nil {
			why = res.Header
		}
		t.Fatalf("%v: %v", err, why)
	}
	_ = res.Body.Close()
	r := &remote{conn: conn, stream: res.Header.Get("Rtap-Stream-Id"), done: make(chan struct{})}
	go r.read()
	t.Cleanup(func() { _ = conn.Close() })
	return r
}

func (r *remote) read() {
	defer close(r.done)
	for {
		_, data, err := r.conn.ReadMessage()
		if err != nil {
			if e, ok := err.(*websocket.CloseError); ok { //nolint:errorlint // gorilla returns it bare
				r.code, r.reason = e.Code, e.Text
			}
			return
		}
		var m map[string]any
		_ = json.Unmarshal(data, &m)
		r.mu.Lock()
		r.messages = append(r.messages, m)
		if m["type"] == "Results" && m["is_final"] == true {
			f := &rtapv1.Results{}
			if protojson.Unmarshal(data, f) == nil {
				r.finals = append(r.finals, f)
			}
		}
		r.mu.Unlock()
	}
}

func (r *remote) send(t *testing.T, kind int, data []byte) {
	t.Helper()
	r.writes.Lock()
	defer r.writes.Unlock()
	if err := r.conn.WriteMessage(kind, data); err != nil {
		t.Fatal(err)
	}
}

func (r *remote) say(t *testing.T, what string) {
	t.Helper()
	r.send(t, websocket.TextMessage, []byte(`{"type":"`+what+`"}`))
}

// play sends audio in pieces, in real time where bytesPerSecond is not 0.
func (r *remote) play(t *testing.T, audio []byte, piece, bytesPerSecond int) {
	t.Helper()
	began := time.Now()
	for at := 0; at < len(audio); at += piece {
		r.send(t, websocket.BinaryMessage, audio[at:min(len(audio), at+piece)])
		if bytesPerSecond > 0 {
			time.Sleep(time.Until(began.Add(time.Duration(at+piece) * time.Second / time.Duration(bytesPerSecond))))
		}
	}
}

// finish closes the stream and returns all finals; the connection must end well.
func (r *remote) finish(t *testing.T) []*rtapv1.Results {
	t.Helper()
	r.say(t, "CloseStream")
	select {
	case <-r.done:
	case <-time.After(60 * time.Second):
		t.Fatalf("%s: not closed", r.stream)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.code != websocket.CloseNormalClosure {
		t.Errorf("%s: closed with %d %s", r.stream, r.code, r.reason)
	}
	if n := len(r.messages); n == 0 || r.messages[n-1]["type"] != "Metadata" {
		t.Errorf("%s: the last message is not Metadata", r.stream)
	}
	for i, f := range r.finals {
		if f.GetRtap().GetSeq() != 0 && i > 0 && f.GetStart() < r.finals[i-1].GetStart()+r.finals[i-1].GetDuration()-1e-3 {
			t.Errorf("%s: a final begins at %.3f s, before the last one's end", r.stream, f.GetStart())
		}
	}
	return r.finals
}

// of returns the messages of a type.
func (r *remote) of(kind string) (out []map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if m["type"] == kind {
			out = append(out, m)
		}
	}
	return out
}

// within waits until done says so.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

// logged returns the finals of a stream's log when its end has come.
func (p *pipeline) logged(t *testing.T, stream string) (out []*rtapv1.Results) {
	t.Helper()
	c := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=%s&from_seq=1", p.ws, stream))
	defer func() { _ = c.Close() }()
	for {
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		_, data, err := c.ReadMessage()
		if err != nil {
			t.Fatalf("%s: no end of the stream: %v", stream, err)
		}
		var head struct{ Type string }
		_ = json.Unmarshal(data, &head)
		switch head.Type {
		case "StreamEnd":
			return out
		case "Results":
			f := &rtapv1.Results{}
			if err := protojson.Unmarshal(data, f); err != nil {
				t.Fatal(err)
			}
			if f.GetRtap().GetSeq() != uint32(len(out)+1) {
				t.Errorf("%s: seq %d, want %d", stream, f.GetRtap().GetSeq(), len(out)+1)
			}
			out = append(out, f)
		}
	}
}

// heard joins the audio of a stream's stored frames; each must be there, and where one is
// there twice both must be the same.
func (p *pipeline) heard(t *testing.T, stream string) (pcm []byte) {
	t.Helper()
	conn, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	c, err := js.OrderedConsumer(t.Context(), bus.StreamAudio, jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.Audio(stream)}})
	if err != nil {
		t.Fatal(err)
	}
	var frames [][]byte
	for {
		m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			t.Fatalf("%s: no end after %d frames: %v", stream, len(frames), err)
		}
		f := &rtapv1.Frame{}
		if err := proto.Unmarshal(m.Data(), f); err != nil {
			t.Fatal(err)
		}
		n := int(f.GetFrame())
		if n > len(frames) || f.GetGapMs() > 0 {
			t.Fatalf("%s: after frame %d comes %d, gap %d ms", stream, len(frames)-1, n, f.GetGapMs())
		}
		if n < len(frames) {
			if string(frames[n]) != string(f.GetPcm()) {
				t.Errorf("%s: frame %d is there twice, with different audio", stream, n)
			}
			continue
		}
		frames = append(frames, f.GetPcm())
		if f.GetEnd() {
			for _, fr := range frames {
				pcm = append(pcm, fr...)
			}
			return pcm
		}
	}
}

// converted is a recording at another rate, as signed 16 bits for each channel; a second
// channel is silent.
func converted(t *testing.T, name string, rate, channels int) []byte {
	t.Helper()
	in := testkit.PCM(t, name)
	n := len(in) * rate / 16000
	cutoff := min(1, float64(rate)/16000)
	var out []byte
	for i := range n {
		at := float64(i) * 16000 / float64(rate)
		var x float64
		if rate == 16000 {
			x = float64(in[i])
		} else {
			const half = 24 // samples of a windowed sinc
			for k := max(0, int(at)-half); k <= min(len(in)-1, int(at)+half); k++ {
				d := at - float64(k)
				w := 0.5 + 0.5*math.Cos(math.Pi*d/(half+1))
				s := 1.0
				if d != 0 {
					s = math.Sin(math.Pi*cutoff*d) / (math.Pi * cutoff * d)
				}
				x += float64(in[k]) * cutoff * s * w
			}
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(int16(math.Round(max(-1, min(1, x))*32767))))
		for range channels - 1 {
			out = binary.LittleEndian.AppendUint16(out, 0)
		}
	}
	return out
}

// transcript joins what finals say.
func transcript(finals []*rtapv1.Results) string {
	return strings.Join(strings.Fields(text(finals)), " ")
}
