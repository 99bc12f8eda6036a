package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"github.com/rtap/rtap/services/egress/internal/httpapi"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gateway is the API on a bus of its own.
type gateway struct {
	t      *testing.T
	bus    *bus.Bus
	server *httptest.Server
	last   map[string]uint64 // place of each stream's last entry in the log
	seq    map[string]uint32
	ord    map[string]uint32
}

func start(t *testing.T, change func(*config.Config)) *gateway {
	t.Helper()
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	if change != nil {
		change(cfg)
	}
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Config: cfg, Log: log, Service: "egress", Version: "v1", Metrics: m, Bus: b}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait(); b.Conn().Close() })
	if err := b.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	if err := httpapi.New(rt, feed.NewHub(rt), func() []string { return []string{"live"} }).Register(mux); err != nil {
		t.Fatal(err)
	}
	g := &gateway{t: t, bus: b, server: httptest.NewServer(mux), last: map[string]uint64{}, seq: map[string]uint32{}, ord: map[string]uint32{}}
	t.Cleanup(g.server.Close)
	return g
}

func (g *gateway) put(stream string, e wire.Entry) {
	g.t.Helper()
	at, err := g.bus.StoreFinal(g.t.Context(), e, g.last[stream])
	if err != nil {
		g.t.Fatal(err)
	}
	g.last[stream] = at
}

// say stores a final whose words take a third of a second each.
func (g *gateway) say(stream, text string, from float64, change func(*rtapv1.Results)) {
	g.t.Helper()
	g.seq[stream]++
	g.ord[stream]++
	alt := &rtapv1.Alternative{Transcript: text}
	at := from
	for _, w := range strings.Fields(text) {
		alt.Words = append(alt.Words, &rtapv1.TranscriptWord{Word: w, PunctuatedWord: w, Start: at, End: at + 0.3})
		at += 0.333
	}
	r := &rtapv1.Results{
		Type: "Results", IsFinal: true, Start: from, Duration: at - from, Channel: &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{alt}},
		Rtap: &rtapv1.ResultsRtap{StreamId: stream, Seq: g.seq[stream], Ordinal: g.ord[stream], UtteranceId: stream + "-1-1", Epoch: 1},
	}
	if change != nil {
		change(r)
	}
	g.put(stream, wire.Entry{Results: r})
}

func (g *gateway) utterance(stream, text string) {
	g.t.Helper()
	g.ord[stream]++
	g.put(stream, wire.Entry{UtteranceEnd: &rtapv1.UtteranceEnd{Type: "UtteranceEnd", Rtap: &rtapv1.MarkerRtap{
		StreamId: stream, AfterSeq: g.seq[stream], Ordinal: g.ord[stream], Transcript: text}}})
}

func (g *gateway) end(stream string) {
	g.t.Helper()
	g.ord[stream]++
	g.put(stream, wire.Entry{StreamEnd: &rtapv1.StreamEnd{Type: "StreamEnd", Rtap: &rtapv1.MarkerRtap{
		StreamId: stream, AfterSeq: g.seq[stream], Ordinal: g.ord[stream], CapturedAt: timestamppb.New(time.Unix(1800000000, 0))}}})
}

// get answers with the status, the type and the body.
func (g *gateway) get(path string) (code int, contentType, body string) {
	g.t.Helper()
	return g.do(http.MethodGet, path, nil)
}

func (g *gateway) do(method, path string, header map[string]string) (code int, contentType, body string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.server.URL+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return res.StatusCode, res.Header.Get("Content-Type"), string(raw)
}

type page struct {
	LogID       string `json:"log_id"`
	Next        string `json:"next"`
	Transcripts []struct {
		Type string `json:"type"`
		Rtap struct {
			Stream string `json:"stream_id"`
			Seq    int    `json:"seq"`
		} `json:"rtap"`
	} `json:"transcripts"`
}

func (g *gateway) page(path string) (p page) {
	g.t.Helper()
	code, _, body := g.get(path)
	if err := json.Unmarshal([]byte(body), &p); err != nil || code != http.StatusOK {
		g.t.Fatalf("%s: %d %v: %s", path, code, err, body)
	}
	return p
}

func (p page) seqs() (out string) {
	for _, t := range p.Transcripts {
		out += fmt.Sprintf("%s%d ", t.Rtap.Stream, t.Rtap.Seq)
	}
	return strings.TrimSpace(out)
}

func TestTranscripts(t *testing.T) {
	g := start(t, nil)
	if p := g.page("/v1/transcripts"); len(p.Transcripts) != 0 || p.LogID == "" {
		t.Errorf("an empty log gives %+v", p)
	}
	for n := range 7 {
		g.say("a", fmt.Sprint("word", n), float64(n), nil)
		g.say("b", fmt.Sprint("word", n), float64(n), nil)
	}
	g.utterance("a", "Word.")
	time.Sleep(20 * time.Millisecond)
	moment := time.Now()
	time.Sleep(20 * time.Millisecond)
	g.say("a", "later", 9, nil)
	g.end("a")
	for path, want := range map[string]string{
		"?stream=a":                         "a1 a2 a3 a4 a5 a6 a7 a8",
		"?stream=a&from_seq=6":              "a6 a7 a8",
		"?stream=a&from_seq=8":              "a8",
		"?stream=a&from_seq=9":              "",
		"?stream=nobody":                    "",
		"?limit=3":                          "a1 b1 a2",
		"?since=1h&limit=2&stream=b":        "b1 b2",
		"?since=0s":                         "",
		"?stream=a&from_seq=7&markers=true": "a7 a0 a8 a0",
		"?after=12":                         "a7 b7 a8",
		"?since=" + moment.Format(time.RFC3339Nano): "a8",
	} {
		if got := g.page("/v1/transcripts" + strings.ReplaceAll(path, "+", "%2B")).seqs(); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	var all []string
	pages := 0
	for next := "/v1/transcripts?limit=4&token=secret"; next != ""; pages++ {
		p := g.page(next)
		all = append(all, p.seqs())
		if next = p.Next; strings.Contains(next, "secret") {
			t.Fatalf("the way on holds the token: %s", next)
		}
	}
	if got, want := strings.Join(all, " "), "a1 b1 a2 b2 a3 b3 a4 b4 a5 b5 a6 b6 a7 b7 a8"; got != want || pages != 4 {
		t.Errorf("%d pages: %q, want %q", pages, got, want)
	}
}

func TestBadRequests(t *testing.T) {
	g := start(t, func(c *config.Config) { c.Egress.AuthToken = "secret" })
	g.say("a", "word", 0, nil)
	token := map[string]string{"Authorization": "Bearer secret"}
	for _, tt := range []struct {
		path, want string
		code       int
	}{
		{"/v1/transcripts?limit=ten", `limit=\"ten\"`, 400}, {"/v1/transcripts?limit=0", "from 1 to 1000", 400},
		{"/v1/transcripts?limit=1001", "from 1 to 1000", 400}, {"/v1/transcripts?stream=a.b", "bad stream id", 400},
		{"/v1/transcripts?from_seq=1", "from_seq needs stream=", 400}, {"/v1/transcripts?since=yesterday", "15m", 400},
		{"/v1/transcripts?since=-5m", "15m", 400}, {"/v1/transcripts?markers=perhaps", "true or false", 400},
		{"/v1/transcripts?limits=3", "limits is not a parameter", 400}, {"/v1/transcripts?log_id=old", "another log", 409},
		{"/v1/transcripts/a", "want a stream and an ending", 404}, {"/v1/transcripts/a.doc", ".srt", 404},
		{"/v1/transcripts/a.b.txt", "bad stream id", 400}, {"/v1/transcripts/nobody.txt", "no transcript of stream nobody", 404},
		{"/v1/transcripts/a.srt?limit=3", "limit is not a parameter", 400}, {"/v1/streams?x=1", "x is not a parameter", 400},
		{"/v1/elsewhere", "nothing at /v1/elsewhere", 404}, {"/v2", "nothing at /v2", 404},
	} {
		code, contentType, body := g.do(http.MethodGet, tt.path, token)
		if code != tt.code || contentType != "application/problem+json" || !strings.Contains(body, tt.want) {
			t.Errorf("%s: %d %s %s; want %d and %q", tt.path, code, contentType, body, tt.code, tt.want)
		}
	}
	for _, path := range []string{"/v1/transcripts", "/v1/transcripts/a.txt", "/v1/streams"} {
		if code, contentType, _ := g.get(path); code != 401 || contentType != "application/problem+json" {
			t.Errorf("%s without the token: %d %s", path, code, contentType)
		}
		if code, _, body := g.get(path + "?token=secret"); code != 200 {
			t.Errorf("%s with the token in the query: %d %s", path, code, body)
		}
		if code, _, body := g.do(http.MethodPost, path, token); code != 405 || !strings.Contains(body, "POST is not for") {
			t.Errorf("POST %s: %d %s", path, code, body)
		}
		if code, _, _ := g.do(http.MethodOptions, path, map[string]string{"Origin": g.server.URL}); code != 204 {
			t.Errorf("OPTIONS %s: %d", path, code)
		}
		if code, _, _ := g.do(http.MethodGet, path, map[string]string{"Authorization": "Bearer secret", "Origin": "https://elsewhere.example"}); code != 403 {
			t.Errorf("%s for another page: %d", path, code)
		}
	}
	for _, path := range []string{"/openapi.json", "/asyncapi.yaml"} {
		if code, _, _ := g.get(path); code != 200 {
			t.Errorf("%s wants a token: %d", path, code)
		}
	}
}

func TestStreams(t *testing.T) {
	g := start(t, nil)
	g.say("b", "word", 0, nil)
	g.say("a", "word", 0, nil)
	g.end("a")
	_, _, body := g.get("/v1/streams")
	var got struct {
		Streams []struct {
			ID      string `json:"stream_id"`
			Live    bool   `json:"live"`
			Ended   bool   `json:"ended"`
			Last    int    `json:"last_seq"`
			Entries int    `json:"entries"`
			At      string `json:"last_at"`
		} `json:"streams"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if want := "[{a false true 1 2 2027-01-15T08:00:00Z} {b false false 1 1 } {live true false 0 0 }]"; fmt.Sprint(got.Streams) != want {
		t.Errorf("streams %v, want %s", got.Streams, want)
	}
}

func TestWithoutNATS(t *testing.T) {
	g := start(t, nil)
	g.bus.Conn().Close()
	deadline := time.Now().Add(20 * time.Second)
	for {
		code, _, body := g.get("/v1/streams")
		if code == http.StatusServiceUnavailable && strings.Contains(body, "status") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %d: %s", code, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
