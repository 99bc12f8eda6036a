package bus_test

import (
	"testing"

	"github.com/rtap/rtap/pkg/bus"
)

func TestWithoutSecrets(t *testing.T) {
	for in, want := range map[string]string{
		"nats://127.0.0.1:4222":                     "nats://127.0.0.1:4222",
		"nats://user:p@ss@host:4222":                "nats://host:4222",
		"tls://token@a:1, nats://u:p@b:2,c:3,u@d:4": "tls://a:1,nats://b:2,c:3,d:4",
	} {
		if got := bus.WithoutSecrets(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
