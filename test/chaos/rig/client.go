package rig

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rtap/rtap/pkg/wire"
)

// Text is a message that a client got with words in it, interim or final.
type Text struct {
	Stream   string
	Got      time.Time
	Captured time.Time // when its last audio was
	Position float64   // of that audio in the stream, seconds
	Gateway  int
}

// Client follows one stream at one gateway after the other, with from_seq, and takes down
// what it is given.
type Client struct {
	Name     string
	stream   string
	gateways []int // ports
	patience time.Duration
	heard    func(Text) // may be nil

	mu      sync.Mutex
	entries []wire.Entry
	markers map[uint64]bool
	last    uint32
	doubled int
	holes   int
	ended   bool
}

// NewClient follows until the stream's end: at one gateway, or at the next one whenever it
// hears nothing for as long as patience.
func NewClient(name, stream string, patience time.Duration, heard func(Text), ports ...int) *Client {
	return &Client{Name: name, stream: stream, gateways: ports, patience: patience, heard: heard, markers: map[uint64]bool{}}
}

// Run follows until the stream's end or that of ctx.
func (c *Client) Run(ctx context.Context) {
	for n := 0; ctx.Err() == nil && !c.Ended(); n++ {
		c.mu.Lock()
		next := c.last + 1
		c.mu.Unlock()
		at := n % len(c.gateways)
		url := fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=%s&from_seq=%d&interim_results=true", c.gateways[at], c.stream, next)
		d := websocket.Dialer{HandshakeTimeout: time.Second}
		conn, res, err := d.DialContext(ctx, url, nil)
		if res != nil {
			_ = res.Body.Close()
		}
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		c.read(ctx, conn, at)
		_ = conn.Close()
	}
}

func (c *Client) read(ctx context.Context, conn *websocket.Conn, gateway int) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	for !c.Ended() {
		_ = conn.SetReadDeadline(time.Now().Add(c.patience))
		_, data, err := conn.ReadMessage()
		if err != nil {
			return
		}
		e, err := wire.ParseEntry(data)
		if err != nil {
			return
		}
		c.take(e, gateway)
	}
}

func (c *Client) take(e wire.Entry, gateway int) {
	if r := e.Results; r != nil && c.heard != nil {
		position := r.GetStart() + r.GetDuration()
		if r.GetIsFinal() {
			position = r.GetRtap().GetClosedAt()
		}
		now := time.Now()
		c.heard(Text{c.stream, now, near(r.GetRtap().GetCapturedAt().AsTime(), now), position, gateway})
	}
	if e.Results != nil && !e.Results.GetIsFinal() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case e.Results == nil && c.markers[e.Ordinal()]:
		return // what follows a final comes again with from_seq
	case e.Results == nil:
		c.markers[e.Ordinal()] = true
		c.ended = e.StreamEnd != nil
	case e.Seq() <= c.last:
		c.doubled++
		return
	case e.Seq() != c.last+1:
		c.holes++
		c.last = e.Seq()
	default:
		c.last = e.Seq()
	}
	c.entries = append(c.entries, e)
}

// Ended says whether the client has seen the stream's end.
func (c *Client) Ended() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// Heard returns what the client was given, each once, and how many finals came twice or
// after a hole.
func (c *Client) Heard() (entries []wire.Entry, doubled, holes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]wire.Entry(nil), c.entries...), c.doubled, c.holes
}
