package stream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/vad/internal/segmenter"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// store records a boundary; only then may it be acted on.
func (s *Stream) store(ctx context.Context, b *rtapv1.Boundary) error {
	s.cp.Version, s.cp.Epoch = version, s.epoch
	state := s.seg.State()
	s.cp.NextFrame = uint64(state.At / frame)
	s.cp.SegmenterState = binary.LittleEndian.AppendUint64([]byte{flag(state.Cut)}, uint64(state.SpeechEnd))
	s.cp.HeardAt = s.heardAt(state.At)
	s.cp.Closed = s.history.recent(s.epoch, state.At)
	s.cp.Boundary = b
	s.cp.PendingGapMs = s.gapMS
	// The state is that of the newest frame; a successor hears a few frames again.
	s.cp.ModelState = s.detector.State()
	s.cp.WrittenAt = timestamppb.Now()
	s.cp.Writer = fmt.Sprintf("%d", os.Getpid())
	var err error
	ok := bus.Retry(ctx, s.log, "recording a boundary", func() error {
		var rev uint64
		rev, err = s.bus.StoreCheckpoint(ctx, s.cp, s.revision)
		if err == nil {
			s.revision = rev
			return nil
		}
		if errors.Is(err, bus.ErrConflict) {
			return nil
		}
		return err
	})
	if !ok {
		return ctx.Err()
	}
	if errors.Is(err, bus.ErrConflict) {
		return s.mine(ctx)
	}
	return nil
}

// mine tells a write of ours whose acknowledgement was lost from one of another holder.
func (s *Stream) mine(ctx context.Context) error {
	have, rev, err := s.bus.LoadCheckpoint(ctx, s.id)
	if err != nil {
		return err
	}
	if have.GetWriter() == s.cp.GetWriter() && have.GetWrittenAt().AsTime().Equal(s.cp.GetWrittenAt().AsTime()) {
		s.revision = rev
		return nil
	}
	return fmt.Errorf("%w (%s)", ErrTaken, have.GetWriter())
}

// fresh is the segmenter's state before a frame with nothing heard.
func fresh(next uint64) segmenter.State {
	at := int(next) * frame
	return segmenter.State{At: at, SpeechEnd: at}
}

// restore is the segmenter's state at the checkpoint.
func (s *Stream) restore() segmenter.State {
	state := fresh(s.cp.GetNextFrame())
	state.Utterance = s.cp.GetUtteranceId() != ""
	if raw := s.cp.GetSegmenterState(); s.cp.GetVersion() == version && len(raw) == 9 {
		state.Cut, state.SpeechEnd = raw[0] == 1, int(binary.LittleEndian.Uint64(raw[1:]))
	}
	return state
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}
