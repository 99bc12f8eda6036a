package stream

import (
	"context"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/lease"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// recordedPoll is how often missing audio of a recorded segment is looked for.
const recordedPoll = 100 * time.Millisecond

// lateAtMost is how long a frame may be missing when a later one is stored: some times as long as
// capture waits for the answer to a publication.
const lateAtMost = 10 * time.Second

// recorded returns the stored audio of a recorded segment; nil when it is gone. A server that
// crashed may have lost the newest frames, which capture sends again. So it waits for them: while
// somebody captures the stream, who has them or stores what comes after them, and then as long
// as a successor may take, which is that of capture's ring. A server whose disk is full takes
// nothing for longer than that. When a later frame is stored, what is missing was lost on its
// way, or comes once more in another epoch, and is sent again within seconds. What is older
// than audio is kept has expired, whoever captures.
func (s *Stream) recorded(ctx context.Context, b *rtapv1.Boundary) ([]byte, error) {
	span := b.GetSpan()
	patience := time.Duration(s.cfg.Audio.RingBufferSizeMS) * time.Millisecond
	deadline := time.Now().Add(patience)
	told, late := false, false
	var renewal lease.Renewal
	for {
		// In this order: what is missing may arrive between the two.
		last, err := s.bus.LastFrame(ctx, s.id)
		if err != nil {
			return nil, err
		}
		pcm, whole, err := s.bus.AudioSpan(ctx, s.id, span)
		if err == nil && !whole && last.GetEpoch() > span.GetEpoch() {
			pcm, whole, err = s.retold(ctx, b)
		}
		if err != nil {
			return nil, err
		}
		if whole {
			return pcm, nil
		}
		gone := s.expired(b.GetClosedAt())
		switch {
		case passed(last, span) && !late:
			late, deadline = true, time.Now().Add(min(patience, lateAtMost))
		case !late && !gone && s.captured(ctx, &renewal):
			deadline = time.Now().Add(patience)
		}
		if gone && late || time.Now().After(deadline) {
			return nil, nil
		}
		if !told {
			told = true
			s.log.Warn("waiting for stored audio of a recorded segment, which capture sends again", "span", span.String())
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(recordedPoll):
		}
	}
}

// retold returns a recorded segment's audio from a later epoch: who takes a source over says
// once more what it has, and the moments tell which of it. Frames of two processes do not begin
// at the same sample, so up to a frame at either end may be silence instead.
func (s *Stream) retold(ctx context.Context, b *rtapv1.Boundary) (pcm []byte, whole bool, err error) {
	var (
		start, end         = int64(b.GetSpan().GetStartSample()), int64(b.GetSpan().GetEndSample())
		epoch, first, next uint64 // of pcm
		from               int64  // where pcm begins, in samples of the segment's epoch
	)
	err = s.bus.AudioFrames(ctx, s.id, func(f *rtapv1.Frame) bool {
		if f.GetEpoch() <= b.GetSpan().GetEpoch() || f.GetEpoch() < epoch || !f.GetAgain() {
			return true
		}
		ends := int64(b.GetClosedSample()) + samplesBetween(b.GetClosedAt(), f.GetClock())
		switch {
		case ends <= start:
			return true
		case pcm == nil, f.GetEpoch() > epoch, f.GetFrame() < first:
			pcm = nil
			epoch, first, from = f.GetEpoch(), f.GetFrame(), ends-int64(len(f.GetPcm()))/2
		case f.GetFrame() != next: // said before, or behind one that is said later
			return true
		}
		pcm, next = append(pcm, f.GetPcm()...), f.GetFrame()+1
		return from+int64(len(pcm))/2 < end
	})
	if err != nil || pcm == nil || from > start+frame || from >= end || from+int64(len(pcm))/2 < end-frame {
		return nil, false, err
	}
	out := make([]byte, 2*(end-start))
	if from <= start {
		copy(out, pcm[2*(start-from):])
	} else {
		copy(out[2*(from-start):], pcm)
	}
	return out, true, nil
}

// samplesBetween is how many samples lie between two moments, below 0 when b is the earlier.
func samplesBetween(a, b *rtapv1.Clock) int64 {
	after, _ := clock.Between(a, b)
	before, _ := clock.Between(b, a)
	return int64((after - before).Seconds() * sampleRateHz)
}

// expired says whether audio of a moment is older than audio is kept.
func (s *Stream) expired(at *rtapv1.Clock) bool {
	age, _ := clock.Since(at)
	most := s.cfg.Streams.Audio.MaxAge
	return most > 0 && age >= most
}

// captured says whether somebody captures the stream. A server whose clock was set back keeps the lease of
// one who is dead.
func (s *Stream) captured(ctx context.Context, renewal *lease.Renewal) bool {
	value, revision, err := s.bus.Leases().Get(ctx, lease.Capture(s.id))
	return err == nil && renewal.Goes(value, revision)
}

// passed says whether a frame comes after a span, or is its last.
func passed(f *rtapv1.Frame, span *rtapv1.Span) bool {
	return f.GetEpoch() > span.GetEpoch() || f.GetEpoch() == span.GetEpoch() && (f.GetFrame()+1)*frame >= span.GetEndSample()
}
