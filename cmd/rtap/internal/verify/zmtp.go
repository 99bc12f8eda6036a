package verify

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// subscriber reads a ZeroMQ PUB socket. It speaks ZMTP 3.0 by itself (RFC 23, mechanism
// NULL), so that rtap needs no libzmq and the gateway's bytes are read by other hands than
// those that wrote them.
type subscriber struct {
	conn net.Conn
	r    *bufio.Reader
}

// Flags of a frame.
const (
	flagMore    = 1
	flagLong    = 2
	flagCommand = 4
)

// largestFrame bounds what a peer can make this side hold.
const largestFrame = 4 << 20

// subscribe connects and asks for the topics that begin with prefix.
func subscribe(ctx context.Context, address, prefix string) (*subscriber, error) {
	conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &subscriber{conn, bufio.NewReader(conn)}
	if err := s.begin(prefix); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is no ZeroMQ socket that lets this client in: %w", address, err)
	}
	return s, nil
}

func (s *subscriber) begin(prefix string) error {
	if err := s.conn.SetDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return err
	}
	greeting := make([]byte, 64)
	greeting[0], greeting[9], greeting[10] = 0xff, 0x7f, 3
	copy(greeting[12:], "NULL")
	if _, err := s.conn.Write(greeting); err != nil {
		return err
	}
	theirs := make([]byte, 64)
	if _, err := io.ReadFull(s.r, theirs); err != nil {
		return err
	}
	mechanism := string(bytes.TrimRight(theirs[12:32], "\x00"))
	switch {
	case theirs[0] != 0xff || theirs[9]&1 == 0:
		return errors.New("it does not speak ZMTP")
	case theirs[10] < 3:
		return fmt.Errorf("it speaks ZMTP %d, want 3", theirs[10])
	case mechanism != "NULL":
		return fmt.Errorf("it wants the mechanism %s", mechanism)
	}
	ready := []byte("\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB")
	if err := s.write(flagCommand, ready); err != nil {
		return err
	}
	flags, body, err := s.frame()
	if err != nil {
		return err
	}
	if flags&flagCommand == 0 || !bytes.HasPrefix(body, []byte("\x05READY")) {
		return fmt.Errorf("it answers %.60q", body)
	}
	if err := s.write(0, append([]byte{1}, prefix...)); err != nil {
		return err
	}
	return s.conn.SetDeadline(time.Time{})
}

func (s *subscriber) write(flags byte, body []byte) error {
	_, err := s.conn.Write(append([]byte{flags, byte(len(body))}, body...))
	return err
}

// frame reads one frame.
func (s *subscriber) frame() (flags byte, body []byte, err error) {
	if flags, err = s.r.ReadByte(); err != nil {
		return 0, nil, err
	}
	var size uint64
	if flags&flagLong != 0 {
		var b [8]byte
		if _, err := io.ReadFull(s.r, b[:]); err != nil {
			return 0, nil, err
		}
		size = binary.BigEndian.Uint64(b[:])
	} else {
		b, err := s.r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		size = uint64(b)
	}
	if size > largestFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes is too long", size)
	}
	body = make([]byte, size)
	_, err = io.ReadFull(s.r, body)
	return flags, body, err
}

// message reads the frames of the next message; commands in between are passed over.
func (s *subscriber) message() ([][]byte, error) {
	var out [][]byte
	for {
		flags, body, err := s.frame()
		if err != nil {
			return nil, err
		}
		if flags&flagCommand != 0 {
			continue
		}
		out = append(out, body)
		if flags&flagMore == 0 {
			return out, nil
		}
	}
}

func (s *subscriber) close() { _ = s.conn.Close() }
