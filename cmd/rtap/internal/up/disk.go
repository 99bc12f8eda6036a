package up

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/machine"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// A server that stores nothing is started again at most so often, and not sooner than
	// that after the last time: what is wrong may be something else than the disk.
	diskRestarts    = 5
	diskRestartWait = 30 * time.Second
	diskLook        = time.Second
)

// restartAfterFullDisk starts the server again when processes say that it stores nothing and
// its disk has space (again): after a full disk it stores nothing until then.
func restartAfterFullDisk(ctx context.Context, b *bus.Bus, server *child, dataDir string, log *slog.Logger) error {
	if err := b.Await(ctx); err != nil {
		return err
	}
	said := make(chan *rtapv1.ServiceEvent, 64)
	stop, err := b.Subscribe(bus.Event("*", bus.KindStore), func(m *nats.Msg) {
		e := &rtapv1.ServiceEvent{}
		if wire.UnmarshalJSON(m.Data, e) != nil {
			return
		}
		select {
		case said <- e:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("listening for a full disk: %w", err)
	}
	defer stop()
	look := time.NewTicker(diskLook)
	defer look.Stop()
	failing := map[string]time.Time{} // instances, and when they last said so
	restarts, last := 0, time.Time{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-said:
			if strings.Contains(e.GetMessage(), bus.ErrFull.Error()) {
				continue // at its limit, which starting it again does not raise
			}
			if e.GetSeverity() == rtapv1.ServiceEvent_SEVERITY_ERROR {
				failing[e.GetInstance()] = time.Now()
			} else {
				delete(failing, e.GetInstance())
			}
			continue
		case <-look.C:
		}
		// Who has not said it again has died.
		maps.DeleteFunc(failing, func(_ string, at time.Time) bool { return time.Since(at) > 2*bus.StoreRemind })
		if len(failing) == 0 {
			restarts = 0
		}
		if len(failing) == 0 || restarts == diskRestarts || time.Since(last) < diskRestartWait {
			continue
		}
		free, err := machine.FreeDisk(dataDir)
		if err != nil || free < leastFree {
			continue
		}
		restarts, last = restarts+1, time.Now()
		log.Warn("the server stores nothing, and its disk has space: starting it again", "free_mb", free>>20, "attempt", restarts, "of", diskRestarts)
		server.signal(syscall.SIGTERM)
	}
}
