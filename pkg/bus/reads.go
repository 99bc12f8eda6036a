package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// frameSamples is the number of samples in every frame but a source's last.
const frameSamples = 512

// HighestOrdinal returns the highest ordinal that a stored result or final of the stream
// carries; 0 without any.
func (b *Bus) HighestOrdinal(ctx context.Context, stream string) (uint64, error) {
	var highest uint64
	last, _, err := b.LastFinal(ctx, stream)
	if err != nil {
		return 0, err
	}
	if last != nil {
		highest = last.Released()
	}
	s, err := b.stream(ctx, StreamResults)
	if err != nil {
		return 0, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(prefix+"result."+stream+".>"))
	if err != nil {
		return 0, fmt.Errorf("listing results of %s: %w", stream, err)
	}
	for subject := range info.State.Subjects {
		parts := strings.Split(subject, ".")
		if n, err := strconv.ParseUint(parts[4], 10, 64); err == nil {
			highest = max(highest, n)
		}
	}
	return highest, nil
}

// NextFinalSequence returns the sequence that the next stored final will get. A reader
// that begins there misses nothing, unlike one that asks for what is new.
func (b *Bus) NextFinalSequence(ctx context.Context) (uint64, error) {
	s, err := b.js.Stream(ctx, StreamTranscripts)
	if err != nil {
		return 0, fmt.Errorf("opening transcripts: %w", err)
	}
	return s.CachedInfo().State.LastSeq + 1, nil
}

// AudioStreams lists the streams that have stored audio, sorted.
func (b *Bus) AudioStreams(ctx context.Context) ([]string, error) {
	s, err := b.stream(ctx, StreamAudio)
	if err != nil {
		return nil, err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(AllAudio))
	if err != nil {
		return nil, fmt.Errorf("listing audio: %w", err)
	}
	var out []string
	for subject := range info.State.Subjects {
		out = append(out, StreamOf(subject))
	}
	slices.Sort(out)
	return out, nil
}

// LastFrame returns the newest stored frame of a stream; nil without one.
func (b *Bus) LastFrame(ctx context.Context, stream string) (*rtapv1.Frame, error) {
	s, err := b.stream(ctx, StreamAudio)
	if err != nil {
		return nil, err
	}
	msg, err := s.GetLastMsgForSubject(ctx, Audio(stream))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the last frame of %s: %w", stream, err)
	}
	f := &rtapv1.Frame{}
	if err := proto.Unmarshal(msg.Data, f); err != nil {
		return nil, fmt.Errorf("decoding the last frame of %s: %w", stream, err)
	}
	return f, nil
}

// AudioSpan collects a span's stored audio (s16le); whole is false when part has expired.
func (b *Bus) AudioSpan(ctx context.Context, stream string, span *rtapv1.Span) (pcm []byte, whole bool, err error) {
	wanted, next := span.GetEndSample()-span.GetStartSample(), span.GetStartSample()/frameSamples
	err = b.AudioFrames(ctx, stream, func(f *rtapv1.Frame) bool {
		if f.GetEpoch() == span.GetEpoch() && f.GetFrame() == next {
			pcm = append(pcm, f.GetPcm()...)
			next++
		}
		return uint64(len(pcm))/2 < wanted
	})
	if err != nil || uint64(len(pcm))/2 < wanted {
		return nil, false, err
	}
	return pcm[:2*wanted], true, nil
}

// AudioFrames gives a stream's stored frames to more, in the order in which they were stored,
// until it says false or there are no more.
func (b *Bus) AudioFrames(ctx context.Context, stream string, more func(*rtapv1.Frame) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c, err := b.js.OrderedConsumer(ctx, StreamAudio, jetstream.OrderedConsumerConfig{FilterSubjects: []string{Audio(stream)}})
	if err != nil {
		return fmt.Errorf("reading audio of %s: %w", stream, err)
	}
	for enough := false; !enough; {
		batch, err := c.FetchNoWait(256)
		if err != nil {
			return fmt.Errorf("reading audio of %s: %w", stream, err)
		}
		got := 0
		for msg := range batch.Messages() {
			got++
			f := &rtapv1.Frame{}
			if !enough && proto.Unmarshal(msg.Data(), f) == nil {
				enough = !more(f)
			}
		}
		if got == 0 {
			return batch.Error()
		}
	}
	return nil
}
