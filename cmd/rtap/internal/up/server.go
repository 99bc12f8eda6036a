package up

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
)

// ServerCommand is the hidden command of the child process that is the NATS server.
const ServerCommand = "nats-server"

// Serve is that process: nats-server as a library, so that its death is like any other.
func Serve(ctx context.Context, env lifecycle.Env) error {
	fs := flag.NewFlagSet("rtap "+ServerCommand, flag.ContinueOnError)
	host := fs.String("host", "127.0.0.1", "address")
	port := fs.Int("port", 4222, "port")
	dir := fs.String("dir", "data/nats", "folder")
	storage := fs.Int64("max-storage-mb", 4096, "file storage")
	memory := fs.Int64("max-memory-mb", 256, "memory storage")
	if err := fs.Parse(env.Args); err != nil {
		return lifecycle.Usage(err)
	}
	l, err := obs.Listen(ctx, net.JoinHostPort(*host, strconv.Itoa(*port)), "nats.embedded.port")
	if err != nil {
		return err
	}
	_ = l.Close()
	s, err := server.NewServer(&server.Options{
		ServerName: "rtap", Host: *host, Port: *port, JetStream: true, StoreDir: *dir, SyncAlways: true, NoSigs: true,
		JetStreamMaxStore: *storage << 20, JetStreamMaxMemory: *memory << 20,
	})
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("starting nats-server in %s: %w", *dir, err))
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		return fmt.Errorf("nats-server in %s is not ready", *dir)
	}
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}
