package up

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/obs"
	"golang.org/x/sys/unix"
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
	s, err := StartServer(ctx, ServerOptions{Host: *host, Port: *port, Dir: *dir, StorageMB: *storage, MemoryMB: *memory})
	if err != nil {
		return err
	}
	<-ctx.Done()
	s.Stop()
	return nil
}

// ServerOptions are those of the server of `rtap up`; Port -1 takes any free one.
type ServerOptions struct {
	Host                string
	Port                int
	Dir                 string
	StorageMB, MemoryMB int64
}

// Server is one that runs in this process.
type Server struct {
	server *server.Server
	lock   *os.File
}

// StartServer returns when the server can be used. Two on the same data would ruin it, so
// a folder in use is refused.
func StartServer(ctx context.Context, o ServerOptions) (*Server, error) {
	if o.Port > 0 {
		l, err := obs.Listen(ctx, net.JoinHostPort(o.Host, strconv.Itoa(o.Port)), "nats.embedded.port")
		if err != nil {
			return nil, err
		}
		_ = l.Close()
	}
	lock, err := lockFolder(o.Dir)
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "rtap", Host: o.Host, Port: o.Port, JetStream: true, StoreDir: o.Dir, SyncAlways: true, NoSigs: true,
		JetStreamMaxStore: o.StorageMB << 20, JetStreamMaxMemory: o.MemoryMB << 20,
	})
	if err != nil {
		_ = lock.Close()
		return nil, lifecycle.Usage(fmt.Errorf("starting nats-server in %s: %w", o.Dir, err))
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		s.Shutdown()
		_ = lock.Close()
		return nil, fmt.Errorf("nats-server in %s is not ready", o.Dir)
	}
	return &Server{s, lock}, nil
}

// URL is where the server listens.
func (s *Server) URL() string { return s.server.ClientURL() }

// Stop returns when the server has stopped.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
	_ = s.lock.Close() // which releases it
}

// lockFolder makes the folder and takes it for this process; the lock ends with the process,
// however that ends.
func lockFolder(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("making the server's folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "rtap.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("taking the server's folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another `rtap up` uses it: stop that, or take another --data-dir")
		}
		return nil, fmt.Errorf("taking the server's folder %s: %w", dir, err)
	}
	return f, nil
}
