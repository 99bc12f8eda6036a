package listen_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// TestHowClientsEnd: what each kind of end is told, and that what was sent is stored with
// the stream's end all the same.
func TestHowClientsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		do      func(*testing.T, *gateway, *gorilla.Conn)
		problem string // variant of the Error before the close
		code    int
		reason  string
	}{
		"idle": {func(*testing.T, *gateway, *gorilla.Conn) {}, "NET-0001", 1011, "NET-0001"},
		"too long": {func(t *testing.T, _ *gateway, c *gorilla.Conn) {
			send(t, c, gorilla.BinaryMessage, strings.Repeat("x", 5000))
		}, "DATA-0000", 1009, "too long: at most 4096 bytes"},
		"not JSON":     {func(t *testing.T, _ *gateway, c *gorilla.Conn) { send(t, c, gorilla.TextMessage, "hello \xff") }, "DATA-0000", 1008, "DATA-0000"},
		"server stops": {func(_ *testing.T, g *gateway, _ *gorilla.Conn) { go g.stop() }, "", 1012, "server stops"},
		"ended by capture": {func(t *testing.T, g *gateway, c *gorilla.Conn) {
			last, at, err := g.bus.LastIngest(t.Context(), "s")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := g.bus.StoreIngest(t.Context(), &rtapv1.IngestChunk{
				StreamId: "s", Session: last.GetSession(), Number: 99, Control: rtapv1.IngestChunk_CONTROL_CLOSE_STREAM,
			}, at); err != nil {
				t.Fatal(err)
			}
			send(t, c, gorilla.BinaryMessage, "more")
		}, "STORE-0001", 1011, "STORE-0001"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(c *config.Config) {
				c.Egress.ListenAPI.IdleTimeout = 2 * time.Second
				c.Egress.ListenAPI.MaxMessageKB = 4
			})
			c := g.connect(t, "stream=s")
			send(t, c, gorilla.BinaryMessage, "abcd")
			// Until it is stored; else the test of capture's end would come before it.
			for last := (*rtapv1.IngestChunk)(nil); len(last.GetData()) == 0; {
				last, _, _ = g.bus.LastIngest(t.Context(), "s")
			}
			tt.do(t, g, c)
			if tt.problem != "" {
				if m := message(t, c); m["type"] != "Error" || m["variant"] != tt.problem || m["description"] == "" || m["stored_seconds"] == 0.0 {
					t.Errorf("told %v", m)
				}
			}
			if code, reason := closed(t, c); code != tt.code || !strings.Contains(reason, tt.reason) {
				t.Errorf("closed with %d %q", code, reason)
			}
			var got []byte
			for _, c := range g.chunks(t, "s") {
				got = append(got, c.GetData()...)
			}
			if string(got) != "abcd" {
				t.Errorf("stored %q", got)
			}
		})
	}
}

func TestClientThatVanishes(t *testing.T) {
	g := start(t, nil)
	c := g.connect(t, "stream=s")
	send(t, c, gorilla.BinaryMessage, "abcd")
	_ = c.NetConn().Close() // no close frame
	if got := whole(t, g.chunks(t, "s")); string(got) != "abcd" {
		t.Errorf("stored %q", got)
	}
}

func TestKeepAliveAndOldWayToClose(t *testing.T) {
	g := start(t, func(c *config.Config) { c.Egress.ListenAPI.IdleTimeout = time.Second })
	c := g.connect(t, "stream=s")
	for range 8 { // two idle times
		say(t, c, "KeepAlive")
		time.Sleep(250 * time.Millisecond)
	}
	say(t, c, "Unheard")
	if m := message(t, c); m["type"] != "Error" || m["variant"] != "SchemaError" || m["message"] != `{"type":"Unheard"}` {
		t.Errorf("told %v", m)
	}
	send(t, c, gorilla.BinaryMessage, "abc")
	send(t, c, gorilla.BinaryMessage, "")
	chunks := g.chunks(t, "s")
	if string(whole(t, chunks)) != "abc" {
		t.Error("not whole")
	}
	if len(chunks) < 6 {
		t.Errorf("capture saw only %d chunks of a client that was quiet for two idle times", len(chunks))
	}
	g.end(t, "s", 1)
	m := message(t, c)
	if m["type"] != "Metadata" || !strings.Contains(fmt.Sprint(m["warnings"]), "incomplete_sample") {
		t.Errorf("got %v", m)
	}
	if code, _ := closed(t, c); code != gorilla.CloseNormalClosure {
		t.Errorf("closed with %d", code)
	}
}

// TestFinalsMayTakeLonger: who has closed the stream is not idle.
func TestFinalsMayTakeLonger(t *testing.T) {
	g := start(t, func(c *config.Config) { c.Egress.ListenAPI.IdleTimeout = time.Second })
	c := g.connect(t, "stream=s")
	send(t, c, gorilla.BinaryMessage, "abcd")
	say(t, c, "CloseStream")
	g.chunks(t, "s")
	time.Sleep(2500 * time.Millisecond)
	g.final(t, "s", "late", 1, 0)
	g.end(t, "s", 1)
	if m := message(t, c); m["is_final"] != true {
		t.Errorf("got %v", m)
	}
	if m := message(t, c); m["type"] != "Metadata" {
		t.Errorf("got %v", m)
	}
}

// TestStoreIsFull: the client is told and held back, and when there is room again nothing
// is missing.
func TestStoreIsFull(t *testing.T) {
	g := start(t, func(c *config.Config) { c.Streams.Ingest.MaxMB = 1 })
	c := g.connect(t, "stream=s")
	audio := make([]byte, 3<<20)
	for i := range audio {
		audio[i] = byte(i >> 3)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for rest := audio; len(rest) > 0; rest = rest[64<<10:] {
			if c.WriteMessage(gorilla.BinaryMessage, rest[:64<<10]) != nil {
				return
			}
		}
		_ = c.WriteMessage(gorilla.TextMessage, []byte(`{"type":"CloseStream"}`))
	}()
	if m := message(t, c); m["type"] != "Warning" || m["variant"] != "NOT-STORED" || !strings.Contains(m["description"].(string), "streams.ingest.max_mb") {
		t.Errorf("told %v", m)
	}
	r, err := g.bus.ReadIngest(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []byte
	var before jetstream.Msg
	for ended := false; !ended; {
		m := <-r.Messages()
		chunk := &rtapv1.IngestChunk{}
		if err := proto.Unmarshal(m.Data(), chunk); err != nil {
			t.Fatal(err)
		}
		got = append(got, chunk.GetData()...)
		ended = chunk.GetControl() == rtapv1.IngestChunk_CONTROL_CLOSE_STREAM
		if before != nil { // the newest stays: the next one names it
			if err := r.Forget(t.Context(), before); err != nil {
				t.Fatal(err)
			}
		}
		before = m
	}
	<-sent
	if !bytes.Equal(got, audio) {
		t.Errorf("%d bytes are stored, want %d", len(got), len(audio))
	}
	if m := message(t, c); m["type"] != "Warning" || m["variant"] != "STORED" {
		t.Errorf("told %v", m)
	}
}

// TestNobodyTakes: a client whose audio cannot be stored for long is closed.
func TestNobodyTakes(t *testing.T) {
	g := start(t, func(c *config.Config) {
		c.Streams.Ingest.MaxMB = 1
		c.Egress.ListenAPI.StoreTimeout = 2 * time.Second
	})
	c := g.connect(t, "stream=s")
	go func() {
		for range 64 {
			if c.WriteMessage(gorilla.BinaryMessage, make([]byte, 64<<10)) != nil {
				return
			}
		}
	}()
	var m map[string]any
	for m = message(t, c); m["type"] == "Warning"; m = message(t, c) {
	}
	if m["type"] != "Error" || m["variant"] != "STORE-0000" || m["stored_seconds"].(float64) < 10 {
		t.Errorf("told %v", m)
	}
	if code, reason := closed(t, c); code != gorilla.CloseTryAgainLater || reason != "STORE-0000" {
		t.Errorf("closed with %d %q", code, reason)
	}
}

// TestIDsAreHandedOver: an id is free again when its last client's audio is transcribed, and
// the new client gets nothing of the last one's.
func TestIDsAreHandedOver(t *testing.T) {
	g := start(t, nil)
	first := g.connect(t, "stream=s")
	say(t, first, "CloseStream")
	chunks := g.chunks(t, "s")
	// Another gateway process knows nothing of the first one's clients.
	g.serve(t)
	go func() {
		// What capture does when vad has taken the end.
		time.Sleep(300 * time.Millisecond)
		data, _ := proto.Marshal(&rtapv1.Frame{StreamId: "s", Epoch: 1, End: true, Source: "listen"})
		_, _ = g.bus.JS().Publish(context.Background(), bus.Audio("s"), data)
		_ = g.bus.RemoveIngest(context.Background(), "s", uint64(len(chunks)))
	}()
	second := g.connect(t, "stream=s")
	g.final(t, "s", "late, of the first", 1, 0)
	g.end(t, "s", 1)
	g.final(t, "s", "of the second", 2, 0)
	if m := message(t, second); !strings.Contains(fmt.Sprint(m["channel"]), "of the second") {
		t.Errorf("got %v", m)
	}
}
