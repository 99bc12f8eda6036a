// Package zmq publishes to ZeroMQ subscribers with libzmq.
package zmq

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/pebbe/zmq4"
	"github.com/rtap/rtap/pkg/obs"
)

// Publisher is a PUB socket. For one goroutine. A subscriber that stalls loses messages
// beyond the high-water mark and nobody waits for it; the third frame tells it how many.
type Publisher struct {
	socket  *zmq4.Socket
	monitor *zmq4.Socket
	closed  atomic.Bool
}

// monitors counts them, since each needs an address of its own in the process: two sockets
// may both have asked for any free port.
var monitors atomic.Int64

// A subscriber whose host has vanished is dropped after a minute.
const (
	keepaliveIdle     = 30 // seconds
	keepaliveInterval = 10
	keepaliveCount    = 3
)

// Listen binds a PUB socket; key names the setting of the port in errors.
func Listen(host string, port, highWaterMark int, key string) (*Publisher, error) {
	s, err := zmq4.NewSocket(zmq4.PUB)
	if err != nil {
		return nil, fmt.Errorf("making a zmq socket: %w", err)
	}
	if err := s.SetSndhwm(highWaterMark); err != nil {
		return nil, fmt.Errorf("setting the high-water mark: %w", err)
	}
	if err := s.SetLinger(0); err != nil {
		return nil, fmt.Errorf("setting linger: %w", err)
	}
	for what, set := range map[string]func() error{
		"keep-alive":          func() error { return s.SetTcpKeepalive(1) },
		"keep-alive idle":     func() error { return s.SetTcpKeepaliveIdle(keepaliveIdle) },
		"keep-alive interval": func() error { return s.SetTcpKeepaliveIntvl(keepaliveInterval) },
		"keep-alive count":    func() error { return s.SetTcpKeepaliveCnt(keepaliveCount) },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("setting %s: %w", what, err)
		}
	}
	monitor, err := watch(s, fmt.Sprintf("inproc://rtap-monitor-%d", monitors.Add(1)))
	if err != nil {
		return nil, err
	}
	if host == "" {
		host = "0.0.0.0"
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if err := s.Bind("tcp://" + addr); err != nil {
		_ = s.Close()
		_ = monitor.Close()
		if zmq4.AsErrno(err) == zmq4.Errno(syscall.EADDRINUSE) {
			err = syscall.EADDRINUSE
		}
		return nil, obs.ListenError(err, addr, key)
	}
	return &Publisher{socket: s, monitor: monitor}, nil
}

// Send publishes the three frames: topic, JSON, and the number as uint32 little endian.
func (p *Publisher) Send(topic string, data []byte, n uint32) error {
	if _, err := p.socket.SendMessageDontwait(topic, data, binary.LittleEndian.AppendUint32(nil, n)); err != nil {
		return fmt.Errorf("publishing to zmq: %w", err)
	}
	return nil
}

// Close ends the socket.
func (p *Publisher) Close() error {
	p.closed.Store(true)
	return p.socket.Close()
}
