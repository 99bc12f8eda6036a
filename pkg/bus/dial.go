package bus

import (
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/config"
)

// Dial connects once, for an operator's command: it fails at once where a process of the
// pipeline would wait, and sets nothing up.
func Dial(cfg config.NATS, name string) (*nats.Conn, error) {
	opts := []nats.Option{nats.Name(name), nats.Timeout(2 * time.Second), nats.NoReconnect()}
	access, err := access(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(cfg.URL, append(opts, access...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", cfg.URL, err)
	}
	return conn, nil
}

// access are the options by which a server knows who connects.
func access(cfg config.NATS) ([]nats.Option, error) {
	var opts []nats.Option
	if cfg.Credentials != "" {
		if _, err := os.Stat(cfg.Credentials); err != nil {
			return nil, fmt.Errorf("nats.credentials: %w", err)
		}
		opts = append(opts, nats.UserCredentials(cfg.Credentials))
	}
	if cfg.User != "" {
		opts = append(opts, nats.UserInfo(cfg.User, cfg.Password))
	}
	return opts, nil
}
