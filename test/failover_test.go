package test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/pebbe/zmq4"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// gateway is a real rtap-egress on ports of its own.
type gateway struct {
	cmd                    *exec.Cmd
	http, ws, feed, events int
}

func startGateway(t *testing.T, url string, more ...string) *gateway {
	t.Helper()
	ports := freePorts(t, 4)
	g := &gateway{http: ports[0], ws: ports[1], feed: ports[2], events: ports[3]}
	g.start(t, url, more...)
	return g
}

func (g *gateway) start(t *testing.T, url string, more ...string) {
	t.Helper()
	args := []string{"--set", "nats.url=" + url}
	for _, kv := range more {
		args = append(args, "--set", kv)
	}
	for key, port := range map[string]int{"http_port": g.http, "websocket.port": g.ws, "zmq.transcript_port": g.feed, "zmq.event_port": g.events} {
		args = append(args, "--set", fmt.Sprintf("egress.%s=%d", key, port))
	}
	cmd := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(rtap(t)), "rtap-egress"), args...)
	cmd.Dir, cmd.Stderr = testkit.Root(t), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 15 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	g.cmd = cmd
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// role is what the gateway says of itself; empty when it does not answer.
func (g *gateway) role(t *testing.T) (role, active string) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", g.http), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", ""
	}
	defer func() { _ = res.Body.Close() }()
	var h struct{ Role, Active string }
	_ = json.NewDecoder(res.Body).Decode(&h)
	return h.Role, h.Active
}

func (g *gateway) await(t *testing.T, role string) {
	t.Helper()
	within(t, "gateway is "+role, func() bool { now, _ := g.role(t); return now == role })
}

// follower is a client that knows the addresses of all gateways and goes to the next one when
// one has gone. It must see every final once.
type follower struct {
	mu    sync.Mutex
	seqs  []uint32
	at    []time.Time
	moves int
	ended bool
}

func (f *follower) run(ctx context.Context, gateways []*gateway) {
	for i := 0; ctx.Err() == nil; i++ {
		f.mu.Lock()
		next := uint32(len(f.seqs) + 1)
		f.mu.Unlock()
		url := fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=s&from_seq=%d", gateways[i%len(gateways)].ws, next)
		d := websocket.Dialer{HandshakeTimeout: time.Second}
		c, res, err := d.DialContext(ctx, url, nil)
		if res != nil {
			_ = res.Body.Close()
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		f.read(c)
		_ = c.Close()
		f.mu.Lock()
		f.moves++
		done := f.ended
		f.mu.Unlock()
		if done {
			return
		}
	}
}

func (f *follower) read(c *websocket.Conn) {
	for {
		// A gateway that says nothing for long may be stopped.
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		_, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		e, err := wire.ParseEntry(data)
		if err != nil {
			return
		}
		f.mu.Lock()
		if e.Results != nil {
			f.seqs, f.at = append(f.seqs, e.Seq()), append(f.at, time.Now())
		}
		f.ended = e.StreamEnd != nil
		f.mu.Unlock()
		if e.StreamEnd != nil {
			return
		}
	}
}

// after is when the first final above a number came; zero when it has not.
func (f *follower) after(seq uint32) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int(seq) < len(f.at) {
		return f.at[seq]
	}
	return time.Time{}
}

// overZMQ collects the numbers that a gateway publishes until the stream's end, or ctx is done.
func overZMQ(ctx context.Context, t *testing.T, g *gateway) func() []uint32 {
	t.Helper()
	sub, err := zmq4.NewSocket(zmq4.SUB)
	if err != nil {
		t.Fatal(err)
	}
	_ = sub.SetSubscribe("transcript.s")
	_ = sub.SetRcvtimeo(100 * time.Millisecond)
	if err := sub.Connect(fmt.Sprintf("tcp://127.0.0.1:%d", g.feed)); err != nil {
		t.Fatal(err)
	}
	var seqs []uint32
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = sub.Close() }()
		for ctx.Err() == nil {
			frames, err := sub.RecvMessageBytes(0)
			if err != nil || len(frames) != 3 {
				continue
			}
			e, err := wire.ParseEntry(frames[1])
			if err != nil || e.Seq() != binary.LittleEndian.Uint32(frames[2]) {
				t.Errorf("zmq: %v, %v", frames, err)
				return
			}
			if e.StreamEnd != nil {
				return
			}
			if e.Results != nil {
				seqs = append(seqs, e.Seq())
			}
		}
	}()
	return func() []uint32 { <-done; return seqs }
}

// talk stores results one after another, as workers do, until stopped; it returns how many.
func talk(ctx context.Context, t *testing.T, b *bus.Bus, words string) (n uint64) {
	store := func(kind rtapv1.Result_Kind) {
		n++
		r := &rtapv1.Result{
			StreamId: "s", Ordinal: n, Kind: kind, SegmentId: fmt.Sprint("s-1-", n), UtteranceId: "s-1-1", UtteranceFirstOrdinal: 1,
			Span:     &rtapv1.Span{Epoch: 1, StartSample: n * 1000, EndSample: n*1000 + 900},
			ClosedAt: clock.Now(), SpeechEndedAt: clock.Now(), Recognition: &rtapv1.Recognition{Text: fmt.Sprint(words, " ", n)},
		}
		if err := b.StoreResult(context.WithoutCancel(ctx), r); err != nil {
			t.Errorf("storing result %d: %v", n, err)
		}
	}
	for ctx.Err() == nil {
		store(rtapv1.Result_KIND_TEXT)
		time.Sleep(5 * time.Millisecond)
	}
	store(rtapv1.Result_KIND_STREAM_END)
	return n - 1
}

func counted(t *testing.T, who string, seqs []uint32, n uint64) {
	t.Helper()
	if uint64(len(seqs)) != n {
		t.Errorf("%s had %d finals, %d were spoken", who, len(seqs), n)
	}
	for i, seq := range seqs {
		if seq != uint32(i+1) {
			t.Fatalf("%s: final %d has the number %d", who, i+1, seq)
		}
	}
}

// TestFailover: whatever becomes of the active gateway, a client that goes on with from_seq
// has every final once, a ZeroMQ subscriber of the gateway that lived has them all, and the log
// has each ordinal once.
func TestFailover(t *testing.T) {
	for name, trouble := range map[string]func(t *testing.T, url string, active, standby *gateway){
		"killed": func(t *testing.T, _ string, active, _ *gateway) { _ = active.cmd.Process.Kill() },
		"told to end": func(t *testing.T, _ string, active, _ *gateway) {
			_ = active.cmd.Process.Signal(syscall.SIGTERM)
			if err := active.cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		},
		"stopped, and woken late": func(t *testing.T, _ string, active, standby *gateway) {
			_ = active.cmd.Process.Signal(syscall.SIGSTOP)
			standby.await(t, "active")
			time.Sleep(time.Second)
			_ = active.cmd.Process.Signal(syscall.SIGCONT)
			active.await(t, "standby")
		},
		"asked by an operator": func(t *testing.T, url string, active, standby *gateway) {
			handOver(t, url)
			standby.await(t, "active")
			active.await(t, "standby")
			within(t, "the standby says who is active", func() bool { _, who := active.role(t); return who != "" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.NATS.URL = testkit.NATS(t).ClientURL()
			b := testkit.Connect(t, cfg)
			active := startGateway(t, cfg.NATS.URL)
			active.await(t, "active")
			standby := startGateway(t, cfg.NATS.URL)
			standby.await(t, "standby")

			reading, stopReading := context.WithTimeout(t.Context(), 2*time.Minute)
			defer stopReading()
			viaZMQ := overZMQ(reading, t, standby)
			var f follower
			var wg sync.WaitGroup
			wg.Go(func() { f.run(reading, []*gateway{active, standby}) })
			time.Sleep(200 * time.Millisecond) // the subscription has no answer
			talking, stopTalking := context.WithCancel(t.Context())
			spoken := make(chan uint64, 1)
			go func() { spoken <- talk(talking, t, b, "word") }()

			within(t, "the first finals", func() bool { return !f.after(50).IsZero() })
			began, seq := time.Now(), stored(t, b)
			trouble(t, cfg.NATS.URL, active, standby)
			within(t, "a final from the new gateway", func() bool { return !f.after(seq + 50).IsZero() })
			standby.await(t, "active")
			t.Logf("from the fault to the first further final at the client: %v", f.after(seq).Sub(began).Round(time.Millisecond))

			stopTalking()
			n := <-spoken
			wg.Wait()
			counted(t, "the client", f.seqs, n)
			counted(t, "the ZeroMQ subscriber", viaZMQ(), n)
			once(t, b, n)
			t.Logf("%d finals, the client went to another gateway %d times", n, f.moves-1)
		})
	}
}

// stored is the number of the last final in the log.
func stored(t *testing.T, b *bus.Bus) uint32 {
	t.Helper()
	last, _, err := b.LastFinal(t.Context(), "s")
	if err != nil || last == nil {
		t.Fatalf("last final %v, %v", last, err)
	}
	return last.Seq()
}

// once: the log has each ordinal once, in order.
func once(t *testing.T, b *bus.Bus, n uint64) {
	t.Helper()
	c, err := b.JS().OrderedConsumer(t.Context(), bus.StreamTranscripts, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i := uint64(1); i <= n+1; i++ {
		m, err := c.Next(jetstream.FetchMaxWait(10 * time.Second))
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if e, err := wire.ParseEntry(m.Data()); err != nil || e.Ordinal() != i {
			t.Fatalf("entry %d is of ordinal %d, %v", i, e.Ordinal(), err)
		}
	}
}

// handOver runs `rtap failover`.
func handOver(t *testing.T, url string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rtap(t), "failover", "--json", "--nats", url)
	cmd.Dir, cmd.Stderr = testkit.Root(t), t.Output()
	out, err := cmd.Output()
	var o struct {
		From, To string
		MS       float64
	}
	if err != nil || json.Unmarshal(out, &o) != nil || o.From == o.To || o.To == "" {
		t.Fatalf("rtap failover: %v: %s", err, out)
	}
	t.Logf("handed over from %s to %s in %.1f ms", o.From, o.To, o.MS)
}

// TestFailoverWithoutAStandby: the active gateway keeps its role.
func TestFailoverWithoutAStandby(t *testing.T) {
	cfg := config.Default()
	cfg.NATS.URL = testkit.NATS(t).ClientURL()
	fail := func(want string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), rtap(t), "failover", "--nats", cfg.NATS.URL)
		cmd.Dir = testkit.Root(t)
		var out bytes.Buffer
		cmd.Stderr = &out
		if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%v: %s", err, out.String())
		}
	}
	testkit.Connect(t, cfg)
	fail("no gateway is active")
	g := startGateway(t, cfg.NATS.URL)
	g.await(t, "active")
	fail("no standby gateway is ready")
	g.await(t, "active")
}

// TestUpRunsAStandby: both gateways of `rtap up --standby` serve the same finals.
func TestUpRunsAStandby(t *testing.T) {
	p := up(t, "--standby", "--until-done", "--source", "mock?repeat=1&stream=talk")
	second := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=talk&from_seq=1", p.ws+10))
	defer func() { _ = second.Close() }()
	first := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=talk&from_seq=1", p.ws))
	defer func() { _ = first.Close() }()
	printed := p.finals(t)["talk"]
	if len(printed) == 0 {
		t.Fatal("no finals")
	}
	for name, c := range map[string]*websocket.Conn{"the first": first, "the second": second} {
		for i := 0; ; {
			_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
			_, data, err := c.ReadMessage()
			if err != nil {
				t.Fatalf("%s gateway: after %d finals: %v", name, i, err)
			}
			e, err := wire.ParseEntry(data)
			if err != nil {
				t.Fatal(err)
			}
			if e.StreamEnd != nil {
				if i != len(printed) {
					t.Errorf("%s gateway gave %d finals of %d", name, i, len(printed))
				}
				break
			}
			if e.Results != nil {
				if i >= len(printed) || e.Results.GetRtap().GetSegmentId() != printed[i].GetRtap().GetSegmentId() {
					t.Fatalf("%s gateway: final %d is %v", name, i+1, e.Results)
				}
				i++
			}
		}
	}
}
