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

// FirstMissing returns the first of the newest n frames of last's epoch that is not stored although a later one
// is: of several frames under way a server may lose one, for example when a cluster changes its leader. If all
// are there, or what is missing was told (gap_ms), it is the frame behind last, which must be the newest stored
// one. It asks for each of them, since capture may not read streams otherwise.
func (b *Bus) FirstMissing(ctx context.Context, stream string, last *rtapv1.Frame, n uint64) (uint64, error) {
	behind := last.GetFrame() + 1
	first := behind - min(behind, n)
	sequence, err := b.AudioFrom(ctx, stream, last.GetEpoch(), first)
	if err != nil {
		return 0, err
	}
	s, err := b.stream(ctx, StreamAudio)
	if err != nil {
		return 0, err
	}
	stored, oldest, told := map[uint64]bool{}, behind, uint64(0)
	for {
		msg, err := s.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(Audio(stream)))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("looking for a hole in %s: %w", stream, err)
		}
		f := &rtapv1.Frame{}
		if proto.Unmarshal(msg.Data, f) == nil && f.GetEpoch() == last.GetEpoch() && f.GetFrame() >= first {
			stored[f.GetFrame()], oldest = true, min(oldest, f.GetFrame())
			if f.GetGapMs() > 0 {
				told = max(told, f.GetFrame())
			}
		}
		sequence = msg.Sequence + 1
	}
	for at := max(oldest, told); at < behind; at++ {
		if !stored[at] {
			return at, nil
		}
	}
	return behind, nil
}
