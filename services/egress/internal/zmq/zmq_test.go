package zmq_test

import (
	"testing"

	"github.com/rtap/rtap/services/egress/internal/zmq"
)

// TestTwoOnAnyPort: both feeds may take whatever port is free.
func TestTwoOnAnyPort(t *testing.T) {
	for _, key := range []string{"a", "b"} {
		p, err := zmq.Listen("127.0.0.1", 0, 10, key)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
