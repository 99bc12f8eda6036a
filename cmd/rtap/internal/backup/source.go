package backup

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/cmd/rtap/internal/up"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// place says whose data is meant: a server's that runs, or that of a stopped `rtap up`.
type place struct {
	running.Options
	dataDir string
}

func (p *place) register(fs *flag.FlagSet) {
	p.Register(fs)
	fs.StringVar(&p.dataDir, "data-dir", "", "`folder` of the data of an `rtap up` that is stopped, instead of a server")
}

// open gives a connection; stop ends it and the server, where there is one of our own.
func (p *place) open(ctx context.Context, cfg *config.Config, command string) (conn *nats.Conn, stop func(), err error) {
	stop = func() {}
	if p.dataDir != "" {
		if p.URL != "" {
			return nil, nil, lifecycle.Usage(errors.New("--nats and --data-dir name two places; give one"))
		}
		e := cfg.NATS.Embedded
		s, err := up.StartServer(ctx, up.ServerOptions{
			Host: "127.0.0.1", Port: -1, Dir: filepath.Join(p.dataDir, "nats"), StorageMB: int64(e.MaxStorageMB), MemoryMB: int64(e.MaxMemoryMB),
		})
		if err != nil {
			return nil, nil, err
		}
		stop = s.Stop
		cfg.NATS.URL = s.URL()
	}
	conn, err = bus.Dial(cfg.NATS, "rtap-"+command)
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("%w: start the server, or name the data of a stopped `rtap up` with --data-dir", err)
	}
	stopServer := stop
	return conn, func() { conn.Close(); stopServer() }, nil
}
