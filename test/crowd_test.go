package test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go"
	"github.com/pebbe/zmq4"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
)

const idleClients = 500

func (g *gateway) metric(t *testing.T, series string) float64 {
	t.Helper()
	return metric(t, fmt.Sprintf("127.0.0.1:%d", g.http), series)
}

// metrics is what a process answers at /metrics.
func metrics(t *testing.T, address string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// metric is the value of a series at the /metrics of a process; 0 when it is not there.
func metric(t *testing.T, address, series string) float64 {
	t.Helper()
	raw := metrics(t, address)
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(series) + ` (\S+)$`).FindStringSubmatch(raw)
	if found == nil {
		return 0
	}
	v, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// narrow connects with a small receive buffer, so that who does not read is soon noticed.
func narrow(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10)
	}
	return c, err
}

func (g *gateway) connect(ctx context.Context, query string, d websocket.Dialer) (*websocket.Conn, int, error) {
	c, res, err := d.DialContext(ctx, fmt.Sprintf("ws://127.0.0.1:%d/stream?%s", g.ws, query), nil)
	code := 0
	if res != nil {
		code = res.StatusCode
		_ = res.Body.Close()
	}
	return c, code, err
}

// vanish connects clients and drops them without a word, every 20 ms until ctx is done.
func vanish(ctx context.Context, g *gateway) (n int) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		n++
		wg.Go(func() {
			c, _, err := g.connect(ctx, "interim_results=true", websocket.Dialer{})
			if err != nil {
				return
			}
			if tcp, ok := c.NetConn().(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // a reset, no farewell
			}
			_ = c.NetConn().Close()
		})
		time.Sleep(20 * time.Millisecond)
	}
	return n
}

// TestNobodyNoticesTheOthers: clients that do not read, subscribers that stall, hundreds that
// say nothing and dozens a second that vanish; those who read have every final in order.
func TestNobodyNoticesTheOthers(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	b := testkit.Connect(t, cfg)
	// 500 idle ones, three that read, two that do not, and some that vanish.
	g := startGateway(t, cfg.NATS.URL, "egress.websocket.write_timeout=1s", "egress.websocket.max_clients=600")
	g.await(t, "active")
	closings := make(chan *nats.Msg, 16)
	sub, err := b.Conn().ChanSubscribe(bus.Event("egress", "client"), closings)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := b.Conn().Flush(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for i := range idleClients {
		c, _, err := g.connect(ctx, "streams=silence", websocket.Dialer{})
		if err != nil {
			t.Fatalf("idle client %d: %v", i, err)
		}
		defer func() { _ = c.Close() }()
	}
	deaf, _, err := g.connect(ctx, "streams=s", websocket.Dialer{NetDialContext: narrow})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = deaf.Close() }()
	stalled, err := zmq4.NewSocket(zmq4.SUB)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stalled.Close() }()
	_ = stalled.SetRcvhwm(1)
	_ = stalled.SetSubscribe("")
	if err := stalled.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", g.feed)); err != nil {
		t.Fatal(err)
	}
	readers := make([]follower, 3)
	var wg sync.WaitGroup
	for i := range readers {
		wg.Go(func() { readers[i].run(ctx, []*gateway{g}) })
	}
	viaZMQ := overZMQ(ctx, t, g)
	within(t, "two ZeroMQ subscribers", func() bool { return g.metric(t, `rtap_subscribers{feed="zmq_transcripts"}`) == 2 })
	if n := g.metric(t, `rtap_subscribers{feed="websocket"}`); n < idleClients {
		t.Errorf("%v WebSocket clients are counted", n)
	}
	time.Sleep(200 * time.Millisecond) // the subscriptions have no answer

	talking, stopTalking := context.WithCancel(ctx)
	vanished, spoken := make(chan int, 1), make(chan uint64, 1)
	go func() { vanished <- vanish(talking, g) }()
	go func() { spoken <- talk(talking, t, b, strings.Repeat("word ", 8000)) }()
	for i := range readers {
		within(t, "a reader has 400 finals", func() bool { return !readers[i].after(400).IsZero() })
	}
	within(t, "the deaf client is closed", func() bool {
		return g.metric(t, `rtap_ws_closed_total{reason="slow_consumer"}`)+g.metric(t, `rtap_ws_closed_total{reason="stuck"}`) > 0
	})
	stopTalking()
	n := <-spoken
	wg.Wait()
	for i := range readers {
		counted(t, fmt.Sprint("reader ", i), readers[i].seqs, n)
		if readers[i].moves > 1 {
			t.Errorf("reader %d was disconnected %d times", i, readers[i].moves-1)
		}
	}
	counted(t, "the ZeroMQ subscriber", viaZMQ(), n)
	select {
	case m := <-closings:
		if !strings.Contains(string(m.Data), `"resume":"from_seq=`) {
			t.Errorf("the event says not where to resume: %s", m.Data)
		}
	case <-time.After(20 * time.Second):
		t.Error("no event tells of the slow client")
	}
	t.Logf("%d finals; %d clients vanished; how the deaf one was closed: %v slow_consumer, %v stuck; %v idle ones at the end", n, <-vanished,
		g.metric(t, `rtap_ws_closed_total{reason="slow_consumer"}`), g.metric(t, `rtap_ws_closed_total{reason="stuck"}`), g.metric(t, `rtap_subscribers{feed="websocket"}`))
	within(t, "only the idle ones are left", func() bool { return g.metric(t, `rtap_subscribers{feed="websocket"}`) == idleClients })
}

// TestMaxClients: one more is refused with 503, and let in when another has gone.
func TestMaxClients(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	testkit.Connect(t, cfg)
	g := startGateway(t, cfg.NATS.URL, "egress.websocket.max_clients=2")
	g.await(t, "active")
	var in []*websocket.Conn
	for range 2 {
		c, _, err := g.connect(t.Context(), "", websocket.Dialer{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		in = append(in, c)
	}
	if _, code, err := g.connect(t.Context(), "", websocket.Dialer{}); err == nil || code != http.StatusServiceUnavailable {
		t.Errorf("the third: %d, %v", code, err)
	}
	_ = in[0].Close()
	within(t, "there is room again", func() bool {
		c, _, err := g.connect(t.Context(), "", websocket.Dialer{})
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// TestStoppingGatewayTellsWhereToResume: with a code of its own.
func TestStoppingGatewayTellsWhereToResume(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	b := testkit.Connect(t, cfg)
	g := startGateway(t, cfg.NATS.URL)
	g.await(t, "active")
	talking, stopTalking := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { talk(talking, t, b, "word") })
	defer func() { stopTalking(); wg.Wait() }()
	c, _, err := g.connect(t.Context(), "streams=s&from_seq=1", websocket.Dialer{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	n := 0
	for ; ; n++ {
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		if _, _, err = c.ReadMessage(); err != nil {
			break
		}
		if n == 20 {
			_ = g.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if want := fmt.Sprintf("server stops: resume with from_seq=%d", n+1); !websocket.IsCloseError(err, websocket.CloseServiceRestart) || !strings.Contains(err.Error(), want) {
		t.Errorf("closed with %v, want 1012 and %q", err, want)
	}
}
