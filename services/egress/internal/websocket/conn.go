package websocket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Close codes that are used here.
const (
	CodeNormal    = websocket.CloseNormalClosure
	CodeGoingAway = websocket.CloseGoingAway
	CodeBadData   = websocket.ClosePolicyViolation
	CodeTooBig    = websocket.CloseMessageTooBig
	CodeInternal  = websocket.CloseInternalServerErr
	CodeRestart   = websocket.CloseServiceRestart
	CodeTryAgain  = websocket.CloseTryAgainLater
	longestReason = 123
	farewell      = 2 * time.Second
)

// What [Conn.Next] gives instead of a message.
var (
	ErrIdle   = errors.New("nothing was received in time")
	ErrTooBig = errors.New("the message is too long")
)

// Conn is one client's connection. One goroutine reads, another writes.
type Conn struct {
	ws      *websocket.Conn
	timeout time.Duration
	ending  atomic.Bool
	read    chan struct{} // closed when the reader has seen the end
}

func newConn(ws *websocket.Conn, writeTimeout time.Duration) *Conn {
	return &Conn{ws: ws, timeout: writeTimeout, read: make(chan struct{})}
}

// Send writes a text message. It blocks for as long as egress.websocket.write_timeout.
func (c *Conn) Send(data []byte) error {
	if err := c.ws.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	return c.ws.WriteMessage(websocket.TextMessage, data)
}

// Ping asks the client for a sign of life.
func (c *Conn) Ping() error {
	return c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.timeout))
}

// Next reads a message of at most limit bytes (else ErrTooBig), waiting no longer than
// within (else ErrIdle). Any error is the end of reading: call Drain.
func (c *Conn) Next(limit int, within time.Duration) (binary bool, data []byte, err error) {
	if err := c.ws.SetReadDeadline(time.Now().Add(within)); err != nil {
		return false, nil, err
	}
	if c.ending.Load() {
		return false, nil, io.EOF
	}
	kind, r, err := c.ws.NextReader()
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(r, int64(limit)+1))
	}
	// gorilla hides the error of an expired deadline behind one of its own.
	var network net.Error
	switch {
	case errors.As(err, &network) && network.Timeout():
		return false, nil, ErrIdle
	case err != nil:
		return false, nil, err
	case len(data) > limit:
		return false, nil, fmt.Errorf("%w: at most %d bytes", ErrTooBig, limit)
	}
	return kind == websocket.BinaryMessage, data, nil
}

// Watch reads and drops what a client sends that has nothing to say, until it goes: a client
// that answers no ping for three times every has gone.
func (c *Conn) Watch(every time.Duration) {
	defer close(c.read)
	c.ws.SetReadLimit(64 << 10)
	extend := func(string) error {
		if c.ending.Load() {
			return nil
		}
		return c.ws.SetReadDeadline(time.Now().Add(3 * every))
	}
	_ = extend("")
	c.ws.SetPongHandler(extend)
	for {
		if _, _, err := c.ws.ReadMessage(); err != nil {
			return
		}
	}
}

// Drain is the last thing the reader calls after Next: it drops what still comes until the
// connection is closed, since a connection that is closed with something unread takes with
// it what the client has not yet read.
func (c *Conn) Drain() {
	defer close(c.read)
	_ = c.ws.SetReadDeadline(time.Time{})
	if c.ending.Load() {
		_ = c.ws.SetReadDeadline(time.Now().Add(farewell))
	}
	for {
		if _, _, err := c.ws.NextReader(); err != nil {
			return
		}
	}
}

// Left says whether the reader has seen the connection's end.
func (c *Conn) Left() bool {
	select {
	case <-c.read:
		return true
	default:
		return false
	}
}

// Gone is closed when the reader has seen the connection's end.
func (c *Conn) Gone() <-chan struct{} { return c.read }

// End closes the connection with a code and a reason, and leaves the client a moment to read
// them. The reader must be reading, or in Drain soon.
func (c *Conn) End(code int, reason string) {
	c.ending.Store(true)
	_ = c.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, strings.ToValidUTF8(reason[:min(len(reason), longestReason)], "")), time.Now().Add(farewell))
	_ = c.ws.SetReadDeadline(time.Now().Add(farewell))
	select {
	case <-c.read:
	case <-time.After(farewell):
	}
	_ = c.ws.Close()
}
