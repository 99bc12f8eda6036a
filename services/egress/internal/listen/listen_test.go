package listen_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/listen"
	"github.com/rtap/rtap/services/egress/internal/websocket"
	"google.golang.org/protobuf/proto"
)

const linear16 = "encoding=linear16&sample_rate=16000"

// gateway serves /v1/listen; what capture, vad and stt do is the test's.
type gateway struct {
	cfg    *config.Config
	bus    *bus.Bus
	server *httptest.Server
	stop   func() // ends the handler, as the process's stop does
	taken  bool

	last    uint64 // sequence of the newest entry in the log
	ordinal uint32
	seq     uint32
}

func start(t *testing.T, change func(*config.Config)) *gateway {
	t.Helper()
	g := &gateway{cfg: config.Default(), taken: true}
	g.cfg.NATS.URL = testkit.NATS(t).ClientURL()
	if change != nil {
		change(g.cfg)
	}
	g.serve(t)
	return g
}

// serve adds a gateway process on the same bus.
func (g *gateway) serve(t *testing.T) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(g.cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Config: g.cfg, Log: log, Service: "egress", Metrics: m, Health: obs.NewHealth("egress", "i", "test", m), Bus: b}
	hub := feed.NewHub(rt)
	handler := listen.New(rt, hub, websocket.NewDoor(rt), func(context.Context) bool { return g.taken })
	running, stop := context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	var wg, serving sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() { _ = hub.Run(ctx) })
	serving.Go(func() { _ = handler.Run(running) })
	<-hub.Ready()
	g.bus, g.server = b, httptest.NewServer(handler)
	g.stop = func() { stop(); serving.Wait() }
	t.Cleanup(func() { g.stop(); g.server.Close(); cancel(); wg.Wait(); b.Conn().Close() })
}

// answer is how a request was answered.
type answer struct {
	code   int
	header http.Header
}

func (g *gateway) dial(t *testing.T, query string, header http.Header) (*gorilla.Conn, answer, error) {
	t.Helper()
	c, res, err := gorilla.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(g.server.URL, "http")+"/v1/listen?"+query, header)
	if res == nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if c != nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, answer{res.StatusCode, res.Header}, err
}

func (g *gateway) connect(t *testing.T, query string) *gorilla.Conn {
	t.Helper()
	c, got, err := g.dial(t, linear16+"&"+query, nil)
	if err != nil {
		t.Fatalf("%v: %s", err, got.header.Get("dg-error"))
	}
	return c
}

// message reads the client's next one.
func message(t *testing.T, c *gorilla.Conn) (out map[string]any) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, data, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return out
}

// closed expects the connection's end and returns its code and reason.
func closed(t *testing.T, c *gorilla.Conn) (int, string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	_, data, err := c.ReadMessage()
	e, ok := err.(*gorilla.CloseError) //nolint:errorlint // gorilla returns it bare
	if !ok {
		t.Fatalf("not closed: %v, %s", err, data)
	}
	return e.Code, e.Text
}

func send(t *testing.T, c *gorilla.Conn, kind int, data string) {
	t.Helper()
	if err := c.WriteMessage(kind, []byte(data)); err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, c *gorilla.Conn, kind string) {
	t.Helper()
	send(t, c, gorilla.TextMessage, `{"type":"`+kind+`"}`)
}

// chunks reads what is stored of a stream up to its end.
func (g *gateway) chunks(t *testing.T, stream string) (out []*rtapv1.IngestChunk) {
	t.Helper()
	r, err := g.bus.ReadIngest(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		select {
		case m := <-r.Messages():
			c := &rtapv1.IngestChunk{}
			if err := proto.Unmarshal(m.Data(), c); err != nil {
				t.Fatal(err)
			}
			out = append(out, c)
			if c.GetControl() == rtapv1.IngestChunk_CONTROL_CLOSE_STREAM {
				return out
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%s is not ended after %d chunks", stream, len(out))
		}
	}
}

// whole checks that chunks are a session without a hole and returns its audio.
func whole(t *testing.T, chunks []*rtapv1.IngestChunk) []byte {
	t.Helper()
	var audio []byte
	for i, c := range chunks {
		if c.GetNumber() != uint64(i) || c.GetByteOffset() != uint64(len(audio)) || c.GetSession() != chunks[0].GetSession() || c.GetReceived() == nil {
			t.Fatalf("chunk %d: number %d at byte %d, want %d", i, c.GetNumber(), c.GetByteOffset(), len(audio))
		}
		audio = append(audio, c.GetData()...)
	}
	return audio
}

// entry stores the next entry of a stream's log.
func (g *gateway) entry(t *testing.T, e wire.Entry) {
	t.Helper()
	at, err := g.bus.StoreFinal(t.Context(), e, g.last)
	if err != nil {
		t.Fatal(err)
	}
	g.last = at
}

func (g *gateway) final(t *testing.T, stream, text string, epoch uint32, start float64) {
	t.Helper()
	g.seq++
	g.ordinal++
	g.entry(t, wire.Entry{Results: &rtapv1.Results{
		Type: "Results", IsFinal: true, SpeechFinal: true, Start: start, Duration: 1,
		Channel:  &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{{Transcript: text, Words: []*rtapv1.TranscriptWord{{Word: text, Start: start, End: start + 1}}}}},
		Metadata: &rtapv1.ResultsMetadata{ModelUuid: "uuid", ModelInfo: &rtapv1.ModelInfo{Name: "model", Version: "1", Arch: "arch"}},
		Rtap:     &rtapv1.ResultsRtap{StreamId: stream, Seq: g.seq, Ordinal: g.ordinal, Epoch: epoch},
	}})
}

func (g *gateway) utteranceEnd(t *testing.T, stream string, epoch uint32, lastWordEnd float64) {
	t.Helper()
	g.ordinal++
	g.entry(t, wire.Entry{UtteranceEnd: &rtapv1.UtteranceEnd{
		Type: "UtteranceEnd", Channel: []uint32{0, 1}, LastWordEnd: lastWordEnd,
		Rtap: &rtapv1.MarkerRtap{StreamId: stream, AfterSeq: g.seq, Ordinal: g.ordinal, Epoch: epoch},
	}})
}

func (g *gateway) end(t *testing.T, stream string, epoch uint32) {
	t.Helper()
	g.ordinal++
	g.entry(t, wire.Entry{StreamEnd: &rtapv1.StreamEnd{Type: "StreamEnd", Rtap: &rtapv1.MarkerRtap{StreamId: stream, AfterSeq: g.seq, Ordinal: g.ordinal, Epoch: epoch}}})
}

func TestAudioIsStoredAndTranscriptsComeBack(t *testing.T) {
	g := start(t, nil)
	c, res, err := g.dial(t, linear16+"&stream=desk&model=nova-3&punctuate=true&tag=a", http.Header{})
	if err != nil {
		t.Fatal(err)
	}
	if res.header.Get("Rtap-Stream-Id") != "desk" || len(res.header.Get("dg-request-id")) != 36 || !strings.Contains(res.header.Get("Rtap-Warning"), "model=nova-3") {
		t.Errorf("header %v", res.header)
	}
	audio := bytes.Repeat([]byte("0123456789abcde"), 50_000) // in odd pieces, and one too long for a chunk
	for rest := audio; len(rest) > 0; {
		n := min(len(rest), []int{1, 641, 3, 300_001}[len(rest)%4])
		send(t, c, gorilla.BinaryMessage, string(rest[:n]))
		rest = rest[n:]
	}
	g.final(t, "other", "not for this client", 1, 0)
	g.last, g.seq, g.ordinal = 0, 0, 0
	g.final(t, "desk", "hello", 1, 2.5)
	m := message(t, c)
	if m["type"] != "Results" || m["metadata"].(map[string]any)["request_id"] != res.header.Get("dg-request-id") || m["start"] != 2.5 {
		t.Errorf("got %v", m)
	}
	say(t, c, "KeepAlive")
	say(t, c, "CloseStream")
	chunks := g.chunks(t, "desk")
	if got := whole(t, chunks); !bytes.Equal(got, audio) {
		t.Errorf("%d bytes are stored, want %d", len(got), len(audio))
	}
	if c := chunks[0]; c.GetEncoding() != "linear16" || c.GetSampleRateHz() != 16000 || c.GetChannels() != 1 || len(c.GetData()) != 0 {
		t.Errorf("first chunk %v", c)
	}
	g.final(t, "desk", "world", 1, 3.5)
	g.end(t, "desk", 1)
	if m := message(t, c); m["type"] != "Results" {
		t.Errorf("got %v, want the last final", m)
	}
	m = message(t, c)
	sum := sha256.Sum256(audio)
	if m["type"] != "Metadata" || m["sha256"] != hex.EncodeToString(sum[:]) || m["duration"] != float64(len(audio)/2)/16000 || m["channels"] != 1.0 ||
		m["transaction_key"] != "deprecated" || m["request_id"] != res.header.Get("dg-request-id") {
		t.Errorf("metadata %v", m)
	}
	if _, err := time.Parse(time.RFC3339, m["created"].(string)); err != nil {
		t.Errorf("created: %v", err)
	}
	if m["model_info"].(map[string]any)["uuid"].(map[string]any)["name"] != "model" || m["models"].([]any)[0] != "uuid" {
		t.Errorf("models %v %v", m["models"], m["model_info"])
	}
	if w := fmt.Sprint(m["warnings"]); !strings.Contains(w, "nova-3") || !strings.Contains(w, "tag") || strings.Contains(w, "punctuate") {
		t.Errorf("warnings %s", w)
	}
	if r := m["rtap"].(map[string]any); r["stream_id"] != "desk" || r["seq"] != 2.0 {
		t.Errorf("rtap %v", r)
	}
	if code, reason := closed(t, c); code != gorilla.CloseNormalClosure || reason != "" {
		t.Errorf("closed with %d %q", code, reason)
	}
}

func TestOnlyWhatWasAskedFor(t *testing.T) {
	g := start(t, nil)
	plain, full := g.connect(t, "stream=plain"), g.connect(t, "stream=full&interim_results=true&vad_events=true&opening_metadata=true")
	if m := message(t, full); m["type"] != "Metadata" || m["sha256"] != "" {
		t.Errorf("first message %v", m)
	}
	for _, stream := range []string{"plain", "full"} {
		for _, m := range []struct {
			subject string
			m       proto.Message
		}{
			{bus.Vad(stream, "started"), &rtapv1.VadEvent{Type: "SpeechStarted", StreamId: stream, Timestamp: 0.5, SegmentId: stream + "-1-1"}},
			{bus.Interim(stream), &rtapv1.Results{Type: "Results", Rtap: &rtapv1.ResultsRtap{StreamId: stream, Epoch: 1, Ordinal: 1}}},
		} {
			if err := g.bus.PublishText(m.subject, m.m); err != nil {
				t.Fatal(err)
			}
		}
	}
	seen := map[any]map[string]any{}
	for range 2 {
		m := message(t, full)
		seen[m["type"]] = m
	}
	if m := seen["SpeechStarted"]; m == nil || fmt.Sprint(m["channel"]) != "[0 1]" || m["timestamp"] != 0.5 {
		t.Errorf("SpeechStarted %v", m)
	}
	if seen["Results"] == nil || seen["Results"]["is_final"] != false {
		t.Errorf("interim %v", seen["Results"])
	}
	g.final(t, "plain", "text", 1, 0)
	if m := message(t, plain); m["is_final"] != true {
		t.Errorf("a client that asked for nothing gets %v first", m)
	}
}

// TestUtteranceEnds: they are only for whom names utterance_end_ms. The pauses are the
// operator's, and whoever asks for others is told when the connection opens and when it ends.
func TestUtteranceEnds(t *testing.T) {
	g := start(t, nil)
	for i, tt := range []struct {
		query string
		ends  bool
		told  []string
	}{
		{"", false, nil},
		{"vad_events=true&interim_results=true", false, nil},
		{"endpointing=300", false, []string{"endpointing=300: the operator's pause"}},
		{"utterance_end_ms=1000", true, nil}, // the default
		{"utterance_end_ms=2500&endpointing=10", true, []string{"utterance_end_ms=2500: an utterance ends after 1000 ms", "endpointing=10: the operator's pause"}},
	} {
		t.Run(tt.query, func(t *testing.T) {
			g.last, g.seq, g.ordinal = 0, 0, 0
			stream := fmt.Sprint("s", i)
			c, res, err := g.dial(t, linear16+"&opening_metadata=true&stream="+stream+"&"+tt.query, nil)
			if err != nil {
				t.Fatal(err)
			}
			opening := message(t, c)
			g.final(t, stream, "hello", 1, 0.5)
			g.utteranceEnd(t, stream, 1, 1.5)
			g.final(t, stream, "again", 1, 3)
			say(t, c, "CloseStream")
			g.chunks(t, stream)
			g.end(t, stream, 1)
			var types []string
			var last map[string]any
			for len(types) == 0 || last["type"] != "Metadata" {
				last = message(t, c)
				types = append(types, fmt.Sprint(last["type"]))
				if last["type"] == "UtteranceEnd" && (last["last_word_end"] != 1.5 || fmt.Sprint(last["channel"]) != "[0 1]") {
					t.Errorf("got %v", last)
				}
			}
			want := "[Results Results Metadata]"
			if tt.ends {
				want = "[Results UtteranceEnd Results Metadata]"
			}
			if fmt.Sprint(types) != want {
				t.Errorf("got %v, want %s", types, want)
			}
			header := res.header.Get("Rtap-Warning")
			for where, got := range map[string]string{"header": header, "first message": fmt.Sprint(opening["warnings"]), "last message": fmt.Sprint(last["warnings"])} {
				for _, told := range tt.told {
					if !strings.Contains(got, told) {
						t.Errorf("%s: %s, want %q", where, got, told)
					}
				}
			}
			if len(tt.told) == 0 && (header != "" || len(last["warnings"].([]any)) > 0) {
				t.Errorf("warned of %s, %v", header, last["warnings"])
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	g := start(t, func(c *config.Config) {
		c.Egress.AuthToken = "secret"
		c.Egress.ListenAPI.MaxStreams = 2
	})
	token := http.Header{"Authorization": {"Token secret"}}
	with := func(key, value string) http.Header {
		h := token.Clone()
		h.Set(key, value)
		return h
	}
	c, _, err := g.dial(t, linear16+"&stream=taken", token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.bus.JS().Publish(t.Context(), bus.Audio("mic"), frame(t, "mic", "mic:USB")); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		query  string
		header http.Header
		code   int
		want   string
	}{
		"no token":               {linear16, nil, 401, "token is required"},
		"wrong token":            {linear16, http.Header{"Authorization": {"Token wrong"}}, 401, "token is required"},
		"foreign page":           {linear16, with("Origin", "https://elsewhere.example"), 403, "origin"},
		"no encoding":            {"sample_rate=16000", token, 400, "encoding is missing"},
		"another encoding":       {"encoding=opus&sample_rate=16000", token, 400, `"opus" is not supported: want linear16`},
		"no rate":                {"encoding=linear16", token, 400, "sample_rate is missing"},
		"bad rate":               {"encoding=linear16&sample_rate=96000", token, 400, "from 8000 to 48000"},
		"bad channels":           {linear16 + "&channels=3", token, 400, "from 1 to 2"},
		"bad flag":               {linear16 + "&interim_results=perhaps", token, 400, "true or false"},
		"bad stream":             {linear16 + "&stream=a.b", token, 400, "A-Z a-z 0-9"},
		"callback":               {linear16 + "&callback=http://x", token, 400, "callback"},
		"all that is wrong":      {"encoding=mulaw", token, 400, "sample_rate is missing"},
		"a stream with a client": {linear16 + "&stream=taken", token, 409, "another client's"},
		"a device's stream":      {linear16 + "&stream=mic", token, 409, "made by mic:USB"},
	} {
		_, res, err := g.dial(t, tt.query, tt.header)
		if err == nil || res.code != tt.code || !strings.Contains(res.header.Get("dg-error"), tt.want) || res.header.Get("dg-request-id") == "" {
			t.Errorf("%s: %v %v, want %d %s", name, err, res, tt.code, tt.want)
		}
	}
	// A page in a browser can only name subprotocols.
	c2, res, err := g.dial(t, linear16, http.Header{"Sec-WebSocket-Protocol": {"token, secret, x-deepgram-session-id, 1"}})
	if err != nil || c2.Subprotocol() != "token" {
		t.Errorf("subprotocol: %v %v", err, res)
	}
	if _, res, err = g.dial(t, linear16, token); err == nil || res.code != 429 {
		t.Errorf("the third client of two: %v", res)
	}
	_ = c.Close()
	_ = c2.Close()
	g.taken = false
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, res, _ = g.dial(t, linear16, token); res.code == 503 && strings.Contains(res.header.Get("dg-error"), "--source listen") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("without a capture process: %v", res)
		}
	}
	plain, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL+"/v1/listen?"+linear16, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain.Header = token
	page, err := http.DefaultClient.Do(plain)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = page.Body.Close() }()
	var body map[string]string
	if err := json.NewDecoder(page.Body).Decode(&body); err != nil || page.StatusCode != 426 || body["err_msg"] == "" || body["request_id"] == "" {
		t.Errorf("plain HTTP: %s %v %v", page.Status, body, err)
	}
}

func frame(t *testing.T, stream, source string) []byte {
	t.Helper()
	data, err := proto.Marshal(&rtapv1.Frame{StreamId: stream, Epoch: 1, Source: source})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFinalize: each is answered once, with a text or without, and not before what the
// client said until then is final.
func TestFinalize(t *testing.T) {
	g := start(t, nil)
	c := g.connect(t, "stream=s")
	answered := func(text string) {
		t.Helper()
		m := message(t, c)
		if m["from_finalize"] != true || m["channel"].(map[string]any)["alternatives"].([]any)[0].(map[string]any)["transcript"] != text {
			t.Errorf("answer %v, want %q", m, text)
		}
	}
	say(t, c, "Finalize") // nothing has come yet
	answered("")
	send(t, c, gorilla.BinaryMessage, strings.Repeat("ab", 600))
	say(t, c, "Finalize")
	say(t, c, "Finalize") // the first one's answer is this one's too
	for done := false; !done; {
		last, _, err := g.bus.LastIngest(t.Context(), "s")
		if err != nil {
			t.Fatal(err)
		}
		done = last.GetByteOffset() == 1200 && last.GetControl() == rtapv1.IngestChunk_CONTROL_UNSPECIFIED
	}
	settle := func(o uint64, kind rtapv1.Result_Kind, finalize bool) {
		t.Helper()
		if err := g.bus.StoreResult(t.Context(), &rtapv1.Result{
			StreamId: "s", Ordinal: o, Kind: kind, FromFinalize: finalize, Span: &rtapv1.Span{Epoch: 1},
		}); err != nil {
			t.Fatal(err)
		}
	}
	// vad had nothing open, but the segment before is still being transcribed.
	if err := g.bus.PublishText(bus.Vad("s", "finalized"), &rtapv1.VadEvent{Type: "Finalized", StreamId: "s", SegmentId: "s-1-3"}); err != nil {
		t.Fatal(err)
	}
	settle(1, rtapv1.Result_KIND_EMPTY, false)
	g.ordinal = 1
	g.final(t, "s", "before", 1, 0)
	if m := message(t, c); m["from_finalize"] != false {
		t.Errorf("first comes %v", m)
	}
	answered("")
	// The segment that was open has no text.
	send(t, c, gorilla.BinaryMessage, strings.Repeat("ab", 600))
	say(t, c, "Finalize")
	settle(3, rtapv1.Result_KIND_EMPTY, true)
	answered("")
	// Times behind the Finalizes are those of the client's audio: 1200 samples in four frames,
	// the rest of which is silence.
	g.ordinal = 3
	g.final(t, "s", "later", 1, 4*0.032+1)
	m := message(t, c)
	word := m["channel"].(map[string]any)["alternatives"].([]any)[0].(map[string]any)["words"].([]any)[0].(map[string]any)
	if want := 1200.0/16000 + 1; m["start"] != want || word["start"] != want || m["duration"] != 1.0 {
		t.Errorf("start %v, word %v, want %v", m["start"], word["start"], want)
	}
	say(t, c, "CloseStream")
	controls := ""
	for _, c := range g.chunks(t, "s") {
		if c.GetControl() != 0 {
			controls += fmt.Sprintf("%v at %d; ", c.GetControl(), c.GetByteOffset()+uint64(len(c.GetData())))
		}
	}
	if want := "CONTROL_FINALIZE at 1200; CONTROL_FINALIZE at 2400; CONTROL_CLOSE_STREAM at 2400; "; controls != want {
		t.Errorf("controls %s", controls)
	}
}
