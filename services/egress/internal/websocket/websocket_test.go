package websocket_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
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
	"github.com/rtap/rtap/services/egress/internal/websocket"
)

type gateway struct {
	bus    *bus.Bus
	server *httptest.Server
	last   uint64
	seq    uint32
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
	rt := &service.Runtime{Config: cfg, Log: log, Service: "egress", Metrics: m, Health: obs.NewHealth("egress", "i", "test", m), Bus: b}
	hub := feed.NewHub(rt)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.Run(ctx) })
	wg.Go(func() { _ = hub.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait(); b.Conn().Close() })
	<-hub.Ready()
	g := &gateway{bus: b, server: httptest.NewUnstartedServer(websocket.New(rt, hub, websocket.NewDoor(rt)))}
	g.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		_ = c.(*net.TCPConn).SetWriteBuffer(64 << 10) // a slow client is one soon
		return ctx
	}
	g.server.Start()
	t.Cleanup(g.server.Close)
	return g
}

// final stores the stream's next final.
func (g *gateway) final(t *testing.T, text string) {
	t.Helper()
	g.seq++
	at, err := g.bus.StoreFinal(t.Context(), wire.Entry{Results: &rtapv1.Results{
		Type: "Results", IsFinal: true, Channel: &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{{Transcript: text}}},
		Rtap: &rtapv1.ResultsRtap{StreamId: "s", Seq: g.seq, Ordinal: g.seq},
	}}, g.last)
	if err != nil {
		t.Fatal(err)
	}
	g.last = at
}

func (g *gateway) dial(t *testing.T, query string, header http.Header) (c *gorilla.Conn, status int, err error) {
	t.Helper()
	var res *http.Response
	c, res, err = gorilla.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(g.server.URL, "http")+"/stream?"+query, header)
	if res != nil {
		status = res.StatusCode
		_ = res.Body.Close()
	}
	if c != nil {
		t.Cleanup(func() { _ = c.Close() })
	}
	return c, status, err
}

func next(t *testing.T, c *gorilla.Conn) *rtapv1.Results {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	_, data, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, data)
}

func parse(t *testing.T, data []byte) *rtapv1.Results {
	t.Helper()
	r := &rtapv1.Results{}
	if err := wire.UnmarshalJSON(data, r); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReplayWithoutNATS: a replay is refused while the log cannot be read, so that the client
// tries again; who only listens may come and wait.
func TestReplayWithoutNATS(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = "nats://127.0.0.1:1" // nobody answers
	log := slog.New(slog.DiscardHandler)
	b, err := bus.Connect(cfg, t.Name(), log)
	if err != nil {
		t.Fatal(err)
	}
	m := obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Config: cfg, Log: log, Service: "egress", Metrics: m, Health: obs.NewHealth("egress", "i", "test", m), Bus: b}
	g := &gateway{bus: b, server: httptest.NewServer(websocket.New(rt, feed.NewHub(rt), websocket.NewDoor(rt)))}
	t.Cleanup(func() { g.server.Close(); b.Conn().Close() })
	if _, status, err := g.dial(t, "streams=s&from_seq=1", nil); err == nil || status != http.StatusServiceUnavailable {
		t.Errorf("a replay: status %d, %v", status, err)
	}
	if _, status, err := g.dial(t, "streams=s", nil); err != nil {
		t.Errorf("a listener: status %d, %v", status, err)
	}
}

func TestReplayThenLiveWithoutGapOrRepeat(t *testing.T) {
	g := start(t, nil)
	const n = 60
	for range n / 2 {
		g.final(t, "before")
	}
	c, _, err := g.dial(t, "streams=s&from_seq=7", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range n / 2 {
		g.final(t, "during")
	}
	for want := uint32(7); want <= n; want++ {
		if got := next(t, c).GetRtap().GetSeq(); got != want {
			t.Fatalf("seq %d, want %d", got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	g := start(t, func(c *config.Config) { c.Egress.AuthToken = "secret" })
	token := http.Header{"Authorization": {"Bearer secret"}}
	foreign := token.Clone()
	foreign.Set("Origin", "https://elsewhere.example")
	for name, tt := range map[string]struct {
		query  string
		header http.Header
		code   int
	}{
		"no token": {"", nil, 401}, "foreign page": {"", foreign, 403}, "bad stream": {"streams=a.b", token, 400},
		"bad flag": {"interim_results=perhaps", token, 400}, "no stream": {"from_seq=1", token, 400},
		"two streams": {"from_seq=1&streams=a,b", token, 400}, "bad number": {"from_seq=-1&streams=a", token, 400},
		"another log": {"from_seq=1&streams=a&log_id=old", token, 409},
	} {
		if _, status, err := g.dial(t, tt.query, tt.header); err == nil || status != tt.code {
			t.Errorf("%s: %d %v, want %d", name, status, err, tt.code)
		}
	}
	if _, _, err := g.dial(t, "streams=a", token); err != nil {
		t.Errorf("right token: %v", err)
	}
}

// TestSlowClientHoldsNobody: a client that reads nothing is closed, with the place to resume
// when the close frame still gets through, while another one misses nothing.
func TestSlowClientHoldsNobody(t *testing.T) {
	g := start(t, func(c *config.Config) {
		c.Egress.WebSocket.QueueMessages = 8
		c.Egress.WebSocket.WriteTimeout = 500 * time.Millisecond
	})
	quick, _, err := g.dial(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	slow, _, err := g.dial(t, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	// The quick one reads everything although the slow one reads nothing for long.
	big := strings.Repeat("x", 200_000)
	for i := range 60 {
		g.final(t, fmt.Sprint(i, big))
		if got := next(t, quick).GetRtap().GetSeq(); got != uint32(i+1) {
			t.Fatalf("quick client: seq %d, want %d", got, i+1)
		}
	}
	_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second))
	for {
		if _, _, err = slow.ReadMessage(); err != nil {
			break
		}
	}
	told := gorilla.IsCloseError(err, gorilla.CloseTryAgainLater) && strings.Contains(err.Error(), "from_seq=")
	if !told && !gorilla.IsCloseError(err, gorilla.CloseAbnormalClosure) {
		t.Errorf("closed with %v", err)
	}
}

func TestManualsCurlKey(t *testing.T) {
	g := start(t, nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.server.URL+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "SGVsbG8sIHdvcmxkIQ==", "Sec-WebSocket-Version": "13",
	} {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("status %s", res.Status)
	}
}
