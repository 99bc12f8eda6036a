package publish

import (
	"context"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Remember keeps a frame that a predecessor has stored, in case the server turns out to
// have lost it. Call it before the first Send.
func (p *Publisher) Remember(f *rtapv1.Frame) {
	p.ring = append(p.ring, f)
	if len(p.ring) > p.size {
		p.ring = p.ring[1:]
	}
}

// Refresh sends again what the server lacks if the connection was lost since the last call.
func (p *Publisher) Refresh(ctx context.Context) error {
	select {
	case <-p.again:
		if len(p.ring) > 0 {
			return p.resend(ctx, true)
		}
		p.again = p.bus.Reconnected()
	default:
	}
	return nil
}

// Resend sends again all that the server lacks; for who takes up a stream again.
func (p *Publisher) Resend(ctx context.Context) error {
	if len(p.ring) == 0 {
		p.again = p.bus.Reconnected()
		return nil
	}
	return p.resend(ctx, true)
}

// Ring returns the newest frames, whatever became of them.
func (p *Publisher) Ring() []*rtapv1.Frame { return p.ring }

// Settled returns the first frame that is not known to be stored.
func (p *Publisher) Settled() uint64 {
	switch {
	case len(p.pending) > 0:
		return p.pending[0].frame
	case len(p.ring) > 0:
		return p.ring[len(p.ring)-1].GetFrame() + 1
	default:
		return 0
	}
}
