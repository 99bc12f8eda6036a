// Package zmq publishes to ZeroMQ subscribers with libzmq.
package zmq

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"github.com/pebbe/zmq4"
	"github.com/rtap/rtap/pkg/obs"
)

// Publisher is a PUB socket. For one goroutine. A subscriber that stalls loses messages
// beyond the high-water mark and nobody waits for it.
type Publisher struct{ socket *zmq4.Socket }

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
	if host == "" {
		host = "0.0.0.0"
	}
	addr := net.JoinHostPort(host, strconv.Itoa(port))
	if err := s.Bind("tcp://" + addr); err != nil {
		_ = s.Close()
		if zmq4.AsErrno(err) == zmq4.Errno(syscall.EADDRINUSE) {
			err = syscall.EADDRINUSE
		}
		return nil, obs.ListenError(err, addr, key)
	}
	return &Publisher{socket: s}, nil
}

// Send publishes the three frames: topic, JSON, and the number as uint32 little endian.
func (p *Publisher) Send(topic string, data []byte, n uint32) error {
	if _, err := p.socket.SendMessageDontwait(topic, data, binary.LittleEndian.AppendUint32(nil, n)); err != nil {
		return fmt.Errorf("publishing to zmq: %w", err)
	}
	return nil
}

// Close ends the socket.
func (p *Publisher) Close() error { return p.socket.Close() }
