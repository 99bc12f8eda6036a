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
	opts := []nats.Option{nats.Name(name), nats.Timeout(2 * time.Second), nats.NoReconnect(), nats.CustomInboxPrefix(cfg.InboxPrefix)}
	access, err := access(cfg)
	if err != nil {
		return nil, err
	}
	conn, err := nats.Connect(cfg.URL, append(opts, access...)...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", config.WithoutSecrets(cfg.URL), err)
	}
	return conn, nil
}

// Attributes of a process's status that say which server it is on.
const (
	AttributeServer = "nats_server" // as ServerOf has it; the last one when there is no connection
	AttributeURL    = "nats_url"    // as it is configured, without secrets
)

// ServerOf names what conn is connected to, the same for all who are on that server or on
// another one of its cluster.
func ServerOf(conn *nats.Conn) string {
	if cluster := conn.ConnectedClusterName(); cluster != "" {
		return cluster
	}
	return conn.ConnectedServerId()
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
