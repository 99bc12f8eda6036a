package websocket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// Why a client is not served any more.
var (
	errGone  = errors.New("the client has gone")
	errStops = errors.New("server stops")
	errSlow  = errors.New("slow consumer")
)

// client is one that is served. Its queue may overflow while it is given what is stored:
// it then goes on with that, at its own pace.
type client struct {
	conn      *Conn
	hub       *feed.Hub
	q         query
	remote    string
	replaying bool
	last      map[string]uint32 // number of each stream's last final that it was given
	sent      uint64            // sequence in the log up to which it was given everything
	log       string            // which log that is
}

// ending says how the connection is closed.
type ending struct {
	code   int
	reason string
	why    string // for the metric
}

func (c *client) serve(ctx context.Context, cfg config.WebSocket, stop <-chan struct{}) ending {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { c.conn.Watch(cfg.PingInterval); cancel(errGone) }()
	served := make(chan struct{})
	defer close(served)
	go func() {
		select {
		case <-stop:
			cancel(errStops)
		case <-served:
		}
	}()
	ping := time.NewTicker(cfg.PingInterval)
	defer ping.Stop()
	for {
		full := make(chan struct{})
		queue, unsubscribe := c.hub.SubscribeTo(cfg.QueueMessages, c.q.wants, func() { close(full) })
		err := c.pump(ctx, queue, full, ping.C)
		unsubscribe()
		if err != nil {
			return c.ending(ctx, err)
		}
	}
}

// pump gives the client what comes until something ends that. It returns nil when the queue
// overflowed behind what is stored: what it lacks is stored by now.
func (c *client) pump(ctx context.Context, queue <-chan feed.Message, full <-chan struct{}, ping <-chan time.Time) error {
	if c.replaying {
		if err := c.replay(ctx); err != nil {
			return err
		}
		select {
		case <-full:
			return nil
		default:
			c.replaying = false
		}
	}
	for {
		select {
		case <-full: // first of all: behind it nothing comes any more
			return errSlow
		default:
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-full:
			return errSlow
		case <-ping:
			if err := c.conn.Ping(); err != nil {
				return err
			}
		case m := <-queue:
			if m.Final && m.Sequence <= c.sent && m.Entry.LogID() == c.log {
				continue // the replay has given it
			}
			if err := c.write(m); err != nil {
				return err
			}
		}
	}
}

// replay gives what is stored of the stream. Markers of the final before the first one are
// among it, since whoever resumes may not have had them.
func (c *client) replay(ctx context.Context) error {
	r := feed.Range{Stream: c.q.streams[0], FromSeq: max(c.q.fromSeq, 1) - 1, After: c.sent}
	return c.hub.Read(ctx, r, func(m feed.Message) (bool, error) {
		if !c.q.wants(m) {
			return true, nil
		}
		return true, c.write(m)
	})
}

func (c *client) write(m feed.Message) error {
	if err := c.conn.Send(m.Data); err != nil {
		return err
	}
	if m.Final {
		c.last[m.Stream], c.sent, c.log = m.Seq, m.Sequence, m.Entry.LogID()
	}
	return nil
}

// place says where the client can resume, within what fits into a close frame.
func (c *client) place() string {
	if len(c.q.streams) == 1 {
		return fmt.Sprintf("from_seq=%d", max(c.q.fromSeq, c.last[c.q.streams[0]]+1))
	}
	var out []string
	for _, stream := range slices.Sorted(maps.Keys(c.last)) {
		out = append(out, fmt.Sprintf("streams=%s&from_seq=%d", stream, c.last[stream]+1))
	}
	if len(out) == 0 {
		return "from_seq=1"
	}
	return strings.Join(out, " ")
}

func (c *client) ending(ctx context.Context, err error) ending {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	var network net.Error
	switch {
	case errors.Is(err, errStops):
		return ending{CodeRestart, "server stops: resume with " + c.place(), obs.ClosedStops}
	case errors.Is(err, errSlow):
		return ending{CodeTryAgain, "slow consumer: resume with " + c.place(), obs.ClosedSlow}
	case errors.As(err, &network) && network.Timeout():
		return ending{CodeTryAgain, "slow consumer: resume with " + c.place(), obs.ClosedStuck}
	case errors.Is(err, errGone), errors.As(err, &network), c.conn.Left():
		return ending{CodeGoingAway, "", obs.ClosedGone}
	default:
		return ending{CodeTryAgain, "resume with " + c.place() + ": " + err.Error(), obs.ClosedError}
	}
}
