package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/ingest"
	"github.com/rtap/rtap/pkg/lease"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/publish"
	"google.golang.org/protobuf/proto"
)

const (
	// forgetEvery is how often chunks whose frames are stored are removed.
	forgetEvery = time.Second
	// endEvery is how often vad's checkpoint is looked at behind the last frame.
	endEvery = 50 * time.Millisecond
	// minKept is more than the server ever lost of what it had acknowledged, in frames.
	minKept = 64
)

// errTaken: another process works on the stream.
var errTaken = errors.New("another process has taken the stream over")

// follower works on one stream while this process holds its lease. What it knows is
// derived from the stored frames and chunks: it may be stopped anywhere.
type follower struct {
	rt   *service.Runtime
	id   string
	log  *slog.Logger
	pub  *publish.Publisher
	kept uint64 // frames that are made again after a restart, to be resent if need be

	conv     *Converter
	session  string
	epoch    uint64
	stored   uint64 // first frame that no predecessor has stored
	number   uint64 // of the next chunk
	sequence uint64 // of the newest chunk
	taken    uint64 // frames that vad's checkpoint has passed
	chunks   []held
}

// held is a chunk that is not yet removed.
type held struct {
	msg jetstream.Msg
	end uint64 // byte behind its audio
}

func newFollower(rt *service.Runtime, id string) *follower {
	ring := rt.Config.Audio.RingBufferSizeMS * ingest.SampleRateHz / 1000 / ingest.FrameSamples
	log := rt.Log.With("stream_id", id)
	return &follower{rt: rt, id: id, log: log, kept: uint64(max(ring, minKept)), pub: publish.New(id, max(ring, minKept), rt.Bus, log, rt.Metrics)}
}

func (f *follower) close() {
	if f.conv != nil {
		f.conv.Close()
	}
}

// run reads until the session has ended and vad has taken its end. After an error the
// caller begins anew with another follower.
func (f *follower) run(ctx context.Context) error {
	for ended := false; !ended; {
		var err error
		if ended, err = f.read(ctx, f.rt.Bus.Reconnected()); err != nil {
			return err
		}
	}
	if f.conv == nil {
		return nil // nothing was left
	}
	return f.end(ctx)
}

// read takes chunks until the session ends (true) or the connection changes.
func (f *follower) read(ctx context.Context, again <-chan struct{}) (ended bool, err error) {
	if _, last, err := f.rt.Bus.LastIngest(ctx, f.id); err != nil || last == 0 {
		return err == nil, err
	}
	r, err := f.rt.Bus.ReadIngest(ctx, f.id)
	if err != nil {
		return false, err
	}
	defer r.Close()
	f.chunks = nil // they come again
	quiet := time.NewTimer(f.rt.Config.Egress.ListenAPI.IdleTimeout)
	defer quiet.Stop()
	forget := time.NewTicker(forgetEvery)
	defer forget.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, f.stop(ctx)
		case <-again:
			return false, nil
		case <-r.Closed():
			return false, fmt.Errorf("reading %s: %w", f.id, errTaken)
		case msg := <-r.Messages():
			if err := f.take(ctx, msg); err != nil {
				return false, err
			}
			if f.conv != nil && f.conv.Ended() {
				return true, f.pub.Flush(ctx)
			}
			quiet.Reset(f.rt.Config.Egress.ListenAPI.IdleTimeout)
		case <-forget.C:
			if err := f.forget(ctx, r); err != nil {
				return false, err
			}
		case <-quiet.C:
			if err := f.giveUp(ctx); err != nil {
				return false, err
			}
			quiet.Reset(f.rt.Config.Egress.ListenAPI.IdleTimeout)
		}
	}
}

// stop leaves the stream to a successor.
func (f *follower) stop(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), lease.ErrLost) {
		return ctx.Err() // the stream is another's already
	}
	flush, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.rt.Config.ShutdownTimeout/2)
	defer cancel()
	return errors.Join(ctx.Err(), f.pub.Flush(flush))
}

// take makes frames of a chunk and stores them.
func (f *follower) take(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return fmt.Errorf("reading audio of %s: %w", f.id, err)
	}
	chunk := &rtapv1.IngestChunk{}
	if err := proto.Unmarshal(msg.Data(), chunk); err != nil {
		f.log.Error("a remote client's audio cannot be read; it is passed over", "error", err)
		f.rt.Metrics.Errors.WithLabelValues("capture", "bad_chunk").Inc()
		return nil
	}
	if f.conv == nil {
		if err := f.begin(ctx, chunk); err != nil {
			return err
		}
	}
	if chunk.GetSession() != f.session {
		return fmt.Errorf("session %s instead of %s: %w", chunk.GetSession(), f.session, errTaken)
	}
	f.sequence = meta.Sequence.Stream
	f.chunks = append(f.chunks, held{msg, chunk.GetByteOffset() + uint64(len(chunk.GetData()))})
	if chunk.GetNumber() < f.number {
		return nil
	}
	if f.number > 0 && chunk.GetNumber() > f.number {
		f.log.Error("the server has lost audio of a remote client", "chunk", f.number, "next_chunk", chunk.GetNumber())
		f.rt.Metrics.Errors.WithLabelValues("capture", "chunks_lost").Inc()
	}
	f.number = chunk.GetNumber() + 1
	frames, err := f.conv.Take(chunk)
	if err != nil {
		return err
	}
	return f.store(ctx, frames)
}

// store publishes frames; those that a predecessor has stored are only remembered.
func (f *follower) store(ctx context.Context, frames []*rtapv1.Frame) error {
	for _, fr := range frames {
		if fr.GetFrame() < f.stored {
			f.pub.Remember(fr)
			continue
		}
		if err := f.pace(ctx, fr.GetFrame()); err != nil {
			return err
		}
		if err := f.pub.Send(ctx, fr); err != nil {
			return err
		}
		if fr.GetFrame() == 0 {
			announce(f.rt, f.id, "first frame stored")
		}
	}
	return nil
}

// pace keeps a client that sends faster than it speaks within audio.fast_lead_ms of vad's
// checkpoint, as a file that is played fast.
func (f *follower) pace(ctx context.Context, frame uint64) error {
	lead := uint64(f.rt.Config.Audio.FastLeadMS * ingest.SampleRateHz / 1000 / ingest.FrameSamples)
	for frame >= f.taken+lead {
		if err := f.pub.Flush(ctx); err != nil {
			return err
		}
		if err := f.pub.Refresh(ctx); err != nil {
			return err
		}
		cp, _, err := f.rt.Bus.LoadCheckpoint(ctx, f.id)
		if err == nil && cp.GetEpoch() == f.epoch {
			f.taken = cp.GetNextFrame()
		}
		if frame < f.taken+lead {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// forget removes the chunks whose frames are stored for good: so far back that the frames
// behind them can be made again if the server should lose some.
func (f *follower) forget(ctx context.Context, r *bus.IngestReader) error {
	if err := f.pub.Refresh(ctx); err != nil || f.conv == nil {
		return err
	}
	stored := f.pub.Settled()
	before := f.conv.Settled(max(stored, f.kept) - f.kept)
	n := 0
	for n < len(f.chunks) && f.chunks[n].end < before {
		n++
	}
	if n == 0 {
		return nil
	}
	if err := r.Forget(ctx, f.chunks[n-1].msg); err != nil {
		return err
	}
	f.chunks = append([]held(nil), f.chunks[n:]...)
	return nil
}
