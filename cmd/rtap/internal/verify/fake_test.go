package verify_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// faults are what the real gateway cannot be made to do wrong.
type faults struct {
	health     string // instead of the right one
	refuse     string // why /v1/listen is refused
	texts      []string
	abrupt     bool // ends without a closing handshake
	hole       bool // a number is left out on the WebSocket
	otherWords bool // ZeroMQ says something else
	thirdFrame uint32
	noEvents   bool
	noMetrics  bool
	mechanism  string // of ZeroMQ
}

const rightHealth = `{"status":"healthy","role":"active","version":"v1","reasons":[],"stages":{"capture":[{"instance":"a","version":"v1","ready":true}],` +
	`"vad":[{"instance":"b","version":"v1","ready":true}],"stt":[{"instance":"c","version":"v1","ready":true}],"egress":[{"instance":"d","version":"v1","state":"active","ready":true}]}}`

const rightMetrics = `# TYPE rtap_pipeline_latency_seconds histogram
rtap_pipeline_latency_seconds_bucket{stream="a",le="+Inf"} 1
rtap_pipeline_latency_seconds_sum{stream="a"} 1
rtap_pipeline_latency_seconds_count{stream="a"} 1
# TYPE rtap_final_latency_seconds histogram
rtap_final_latency_seconds_bucket{stream="a",le="+Inf"} 1
rtap_final_latency_seconds_sum{stream="a"} 1
rtap_final_latency_seconds_count{stream="a"} 1
rtap_frames_processed_total{stage="egress"} 1
rtap_queue_depth{queue="jobs"} 0
rtap_memory_usage_bytes 1
rtap_cpu_usage_percent 1
rtap_state_transitions_total{from="a",to="b"} 1
container_health_status 1
`

// fake is a gateway on ports of its own.
type fake struct {
	faults
	httpPort, wsPort, zmqPort, eventPort int
	mu                                   sync.Mutex
	subscribers                          []*websocket.Conn
	zmq, events                          []net.Conn
}

func port(a net.Addr) int { return a.(*net.TCPAddr).Port }

func start(t *testing.T, f faults) *fake {
	t.Helper()
	g := &fake{faults: f}
	if g.texts == nil {
		g.texts = []string{"And so my fellow Americans ask not", "what your country can do for you ask what you can do for your country"}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		body := rightHealth
		if g.health != "" {
			body = g.health
		}
		if !strings.Contains(body, `"healthy"`) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, body)
	})
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		if !g.noMetrics {
			_, _ = io.WriteString(w, rightMetrics)
		}
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	g.httpPort = port(h.Listener.Addr())
	ws := http.NewServeMux()
	ws.HandleFunc("/stream", g.stream)
	ws.HandleFunc("/v1/listen", g.listen)
	s := httptest.NewServer(ws)
	t.Cleanup(s.Close)
	g.wsPort = port(s.Listener.Addr())
	g.zmqPort, g.eventPort = g.publisher(t, &g.zmq), g.publisher(t, &g.events)
	return g
}

// final is the JSON of a final.
func (g *fake) final(stream string, seq int, text string) []byte {
	quoted, _ := json.Marshal(text)
	return fmt.Appendf(nil, `{"type":"Results","is_final":true,"channel":{"alternatives":[{"transcript":%s}]},"rtap":{"stream_id":%q,"seq":%d,"log_id":"L","latency_ms":{"pipeline":40,"speech_end_to_final":200}}}`,
		quoted, stream, seq)
}

var upgrader = websocket.Upgrader{}

func (g *fake) stream(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer right" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"a token is required"}`)
		return
	}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	if r.URL.Query().Get("from_seq") == "1" {
		for i, text := range g.texts {
			_ = c.WriteMessage(websocket.TextMessage, g.final(r.URL.Query().Get("streams"), i+1, text))
		}
	} else {
		g.mu.Lock()
		g.subscribers = append(g.subscribers, c)
		g.mu.Unlock()
	}
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			_ = c.Close()
			return
		}
	}
}

func (g *fake) listen(w http.ResponseWriter, r *http.Request) {
	if g.refuse != "" {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintf(w, `{"err_msg":%q}`, g.refuse)
		return
	}
	c, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.TextMessage && strings.Contains(string(data), "CloseStream") {
			break
		}
	}
	g.say(c, r.URL.Query().Get("stream"))
	if !g.abrupt {
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	}
}

// say gives every final to everybody.
func (g *fake) say(c *websocket.Conn, stream string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, text := range g.texts {
		seq := i + 1
		_ = c.WriteMessage(websocket.TextMessage, g.final(stream, seq, text))
		for _, s := range g.subscribers {
			n := seq
			if g.hole && i > 0 {
				n++
			}
			_ = s.WriteMessage(websocket.TextMessage, g.final(stream, n, text))
		}
		third := uint32(seq)
		if g.thirdFrame != 0 {
			third = g.thirdFrame
		}
		if g.otherWords {
			text = "something else"
		}
		for _, z := range g.zmq {
			send(z, []byte("transcript."+stream), g.final(stream, seq, text), binary.LittleEndian.AppendUint32(nil, third))
		}
	}
	for _, z := range g.events {
		if !g.noEvents {
			send(z, []byte("event.vad"), []byte(`{"type":"SpeechStarted"}`), []byte{1, 0, 0, 0})
		}
	}
}

func send(c net.Conn, frames ...[]byte) {
	for i, f := range frames {
		flags := byte(2) // long
		if i < len(frames)-1 {
			flags |= 1
		}
		_, _ = c.Write(append(binary.BigEndian.AppendUint64([]byte{flags}, uint64(len(f))), f...))
	}
}

// publisher is the other side of ZMTP 3.0.
func (g *fake) publisher(t *testing.T, to *[]net.Conn) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			greeting := make([]byte, 64)
			greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
			copy(greeting[12:], "NULL")
			if g.mechanism != "" {
				copy(greeting[12:], g.mechanism)
			}
			_, _ = c.Write(greeting)
			r := bufio.NewReader(c)
			if _, err := io.ReadFull(r, greeting); err != nil || g.mechanism != "" {
				_ = c.Close()
				continue
			}
			ready := []byte("\x05READY\x0bSocket-Type\x00\x00\x00\x03PUB")
			_, _ = c.Write(append([]byte{4, byte(len(ready))}, ready...))
			for range 2 { // its READY, and what it subscribes to
				head := make([]byte, 2)
				_, _ = io.ReadFull(r, head)
				_, _ = io.CopyN(io.Discard, r, int64(head[1]))
			}
			g.mu.Lock()
			*to = append(*to, c)
			g.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, c := range *to {
			_ = c.Close()
		}
	})
	return port(l.Addr())
}
