package rig

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

const (
	rateHz       = 16000
	frameSamples = 512
)

// Zero returns when a stream's first sample was captured, in ns of the host's monotonic
// clock, from the first frame that capture stored.
func (p *Pipeline) Zero(ctx context.Context, stream string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		f, err := p.firstFrame(ctx, stream)
		if err == nil {
			return f.GetClock().GetMonotonicNs() - int64(f.GetFrame()*frameSamples+frameSamples)*int64(time.Second)/rateHz, nil
		}
		if err := p.Alive(); err != nil {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("looking for the first frame of %s: %w", stream, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (p *Pipeline) firstFrame(ctx context.Context, stream string) (*rtapv1.Frame, error) {
	s, err := p.Bus.JS().Stream(ctx, bus.StreamAudio)
	if err != nil {
		return nil, err
	}
	msg, err := s.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(bus.Audio(stream)))
	if err != nil {
		return nil, err
	}
	f := &rtapv1.Frame{}
	return f, proto.Unmarshal(msg.Data, f)
}
