package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/test/chaos/rig"
)

const (
	idlers    = 500
	vanishing = 50 // each second
	stalled   = 5
)

// crowd is clients that are no good: some only listen, some never read, and fifty a second
// connect and vanish without a farewell. It returns how many there were.
func crowd(ctx context.Context, p *rig.Rig, streams []string, length time.Duration) (n int) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	url := fmt.Sprintf("ws://127.0.0.1:%d/stream?interim_results=true&vad_events=true&streams=%s", p.Gateways[0].WebSocket, strings.Join(streams, ","))
	var kept []net.Conn
	var all sync.WaitGroup
	enter := func(d *websocket.Dialer) *websocket.Conn {
		c, res, err := d.DialContext(ctx, url, nil)
		if res != nil {
			_ = res.Body.Close()
		}
		if err != nil {
			return nil
		}
		n++
		return c
	}
	for range stalled { // with no room for what they do not read
		c := enter(&websocket.Dialer{NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetReadBuffer(4096)
			}
			return c, err
		}})
		if c != nil {
			kept = append(kept, c.NetConn())
		}
	}
	for range idlers {
		if c := enter(websocket.DefaultDialer); c != nil {
			kept = append(kept, c.NetConn())
			all.Go(func() {
				for {
					if _, _, err := c.ReadMessage(); err != nil {
						return
					}
				}
			})
		}
	}
	for ctx.Err() == nil {
		if c := enter(websocket.DefaultDialer); c != nil {
			_ = c.NetConn().(*net.TCPConn).SetLinger(0)
			_ = c.NetConn().Close()
		}
		sleep(ctx, time.Second/vanishing)
	}
	for _, c := range kept {
		_ = c.Close()
	}
	all.Wait()
	return n
}
