package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// AudioFrom returns a sequence of RTAP_AUDIO from which on a reader gets every stored frame
// of a stream from one on, and few before it. It asks about the logarithm of what is
// stored: frames grow in number with their sequences, and where some were sent again all
// behind them were, too.
func (b *Bus) AudioFrom(ctx context.Context, stream string, epoch, frame uint64) (uint64, error) {
	s, err := b.js.Stream(ctx, StreamAudio)
	if err != nil {
		return 0, fmt.Errorf("opening audio: %w", err)
	}
	state := s.CachedInfo().State
	low, high := max(1, state.FirstSeq), state.LastSeq+1
	for low < high {
		middle := low + (high-low)/2
		msg, err := s.GetMsg(ctx, middle, jetstream.WithGetMsgSubject(Audio(stream)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			high = middle
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("looking for frame %d of %s: %w", frame, stream, err)
		}
		f := &rtapv1.Frame{}
		if proto.Unmarshal(msg.Data, f) == nil && f.GetEpoch() <= epoch && (f.GetEpoch() < epoch || f.GetFrame() < frame) {
			low = msg.Sequence + 1
		} else {
			high = middle
		}
	}
	return low, nil
}
