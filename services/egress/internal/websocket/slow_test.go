package websocket_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// lazy opens a connection that takes in little of what its client does not read.
func (g *gateway) lazy(t *testing.T, query string) *gorilla.Conn {
	t.Helper()
	d := gorilla.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err == nil {
			err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		}
		return c, err
	}}
	c, res, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(g.server.URL, "http")+"/stream?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// served gives finals until the client hears one, and one more, which is no replay's any more.
func (g *gateway) served(t *testing.T, c *gorilla.Conn) {
	t.Helper()
	first := make(chan uint32, 1)
	go func() {
		defer close(first)
		_, data, err := c.ReadMessage()
		r := &rtapv1.Results{}
		if err == nil && wire.UnmarshalJSON(data, r) == nil {
			first <- r.GetRtap().GetSeq()
		}
	}()
	var seq uint32
	heard := false
	for tries := 0; !heard && tries < 200; tries++ {
		g.final(t, "awake")
		select {
		case seq, heard = <-first:
			if !heard {
				t.Fatal("the client was cut off")
			}
		case <-time.After(100 * time.Millisecond):
		}
	}
	if !heard {
		t.Fatal("the client hears nothing")
	}
	for range 2 {
		for ; seq != g.seq; seq++ {
			if got := next(t, c).GetRtap().GetSeq(); got != seq+1 {
				t.Fatalf("awake: seq %d after %d", got, seq)
			}
		}
		g.final(t, "awake")
	}
	if got := next(t, c).GetRtap().GetSeq(); got != g.seq {
		t.Fatalf("awake: seq %d, want %d", got, g.seq)
	}
}

// TestSlowClientIsToldWhereToResume: a client that sleeps while many finals come, and wakes
// before the gateway has given its connection up, finds behind the last final that it was
// given the code 1013 and the number of the next one. With that it gets the rest, each once.
func TestSlowClientIsToldWhereToResume(t *testing.T) {
	const burst = 20
	for name, tt := range map[string]struct{ query, reason string }{
		"one stream":     {"streams=s", "slow consumer: resume with from_seq=%d"},
		"from a number":  {"streams=s&from_seq=1", "slow consumer: resume with from_seq=%d"},
		"all streams":    {"", "slow consumer: resume with streams=s&from_seq=%d"},
		"several, given": {"streams=s,other", "slow consumer: resume with streams=s&from_seq=%d"},
	} {
		t.Run(name, func(t *testing.T) {
			g := start(t, func(c *config.Config) {
				c.Egress.WebSocket.QueueMessages = 4
				c.Egress.WebSocket.WriteTimeout = 5 * time.Minute // it wakes in time, however slow the machine
			})
			quick, _, err := g.dial(t, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			g.served(t, quick)
			slow := g.lazy(t, tt.query)
			g.served(t, slow)
			last := g.seq
			for next(t, quick).GetRtap().GetSeq() != last {
			}
			// It sleeps: the burst is more than its queue and all buffers on the way hold. The hub
			// serves both in one go, so what the quick one has was offered to the slow one too.
			big := strings.Repeat("x", 100_000)
			for i := range burst {
				g.final(t, fmt.Sprint(i, big))
				if got := next(t, quick).GetRtap().GetSeq(); got != g.seq {
					t.Fatalf("the quick client: seq %d, want %d", got, g.seq)
				}
			}
			_ = slow.SetReadDeadline(time.Now().Add(time.Minute))
			var end *gorilla.CloseError
			for end == nil {
				_, data, err := slow.ReadMessage()
				if errors.As(err, &end) {
					break
				}
				if err != nil {
					t.Fatalf("no close frame after seq %d: %v", last, err)
				}
				if got := parse(t, data).GetRtap().GetSeq(); got != last+1 {
					t.Fatalf("seq %d after %d", got, last)
				}
				last++
			}
			if last == g.seq {
				t.Fatal("the client had everything: it was not slow")
			}
			if want := fmt.Sprintf(tt.reason, last+1); end.Code != gorilla.CloseTryAgainLater || end.Text != want {
				t.Fatalf("closed with %d %q after seq %d, want %d %q", end.Code, end.Text, last, gorilla.CloseTryAgainLater, want)
			}
			_, place, _ := strings.Cut(end.Text, "resume with ")
			again, _, err := g.dial(t, "streams=s&"+place[strings.Index(place, "from_seq="):], nil)
			if err != nil {
				t.Fatal(err)
			}
			for want := last + 1; want <= g.seq; want++ {
				if got := next(t, again).GetRtap().GetSeq(); got != want {
					t.Fatalf("resumed: seq %d, want %d", got, want)
				}
			}
		})
	}
}
