package testkit

import (
	"bufio"
	"fmt"
	"net"
	"testing"
)

// OldServer speaks as much of NATS as a client needs to be connected to a server of a version,
// one whose program tests cannot bring. It returns the address, host and port.
func OldServer(t testing.TB, version string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, `INFO {"server_id":"OLD","version":%q,"max_payload":1048576}`+"\r\n", version)
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if lines.Text() == "PING" {
					_, _ = fmt.Fprint(c, "PONG\r\n")
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}
