package zmq

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/pebbe/zmq4"
)

// watch gives a socket on which libzmq tells who comes to s and who goes.
func watch(s *zmq4.Socket, address string) (*zmq4.Socket, error) {
	if err := s.Monitor(address, zmq4.EVENT_ACCEPTED|zmq4.EVENT_DISCONNECTED|zmq4.EVENT_MONITOR_STOPPED); err != nil {
		return nil, fmt.Errorf("watching a zmq socket: %w", err)
	}
	m, err := zmq4.NewSocket(zmq4.PAIR)
	if err != nil {
		return nil, fmt.Errorf("watching a zmq socket: %w", err)
	}
	// The end of s is an event too, but not one to wait for without an end.
	if err := errors.Join(m.SetRcvtimeo(time.Second), m.Connect(address)); err != nil {
		_ = m.Close()
		return nil, fmt.Errorf("watching a zmq socket: %w", err)
	}
	return m, nil
}

// Count calls changed with the number of connected subscribers whenever that changes, and
// returns after Close. It may run beside the goroutine that publishes.
func (p *Publisher) Count(changed func(subscribers int)) {
	defer func() { _ = p.monitor.Close() }()
	for n := 0; ; {
		event, _, _, err := p.monitor.RecvEvent(0)
		switch {
		case zmq4.AsErrno(err) == zmq4.Errno(syscall.EAGAIN) && !p.closed.Load():
			continue
		case err != nil || event == zmq4.EVENT_MONITOR_STOPPED:
			return
		case event == zmq4.EVENT_ACCEPTED:
			n++
		case event == zmq4.EVENT_DISCONNECTED:
			n--
		}
		changed(n)
	}
}
