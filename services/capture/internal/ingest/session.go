package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/channels"
	"github.com/rtap/rtap/services/capture/internal/publish"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// begin finds out where the session is: at its start, or at the first frame that is not stored.
func (f *follower) begin(ctx context.Context, chunk *rtapv1.IngestChunk) error {
	format := ingest.Format{SampleRateHz: int(chunk.GetSampleRateHz()), Channels: int(chunk.GetChannels())}
	if format.SampleRateHz < 1 || format.Channels < 1 {
		return fmt.Errorf("audio of %s has %d channels at %d Hz", f.id, format.Channels, format.SampleRateHz)
	}
	last, err := f.rt.Bus.LastFrame(ctx, f.id)
	if err != nil {
		return err
	}
	f.session = chunk.GetSession()
	how := channels.For(f.rt, f.id)
	if err := how.Fits(format.Channels); err != nil {
		f.log.Warn("a remote client's channels are mixed", "reason", err)
	}
	if last.GetIngest().GetSession() == f.session {
		behind := last.GetFrame() + 1
		if f.stored, err = f.rt.Bus.FirstMissing(ctx, f.id, last, publish.Unsure); err != nil {
			return err
		}
		f.epoch, f.conv = last.GetEpoch(), ResumeConverter(last, format, how, max(f.kept, behind)-f.kept, chunk.GetByteOffset())
		f.log.Info("source goes on", "source", sourceName, "epoch", f.epoch, "frame", f.stored)
		return nil
	}
	if f.epoch, err = f.rt.Bus.NewEpoch(ctx, f.id, sourceName, f.rt.RunID); err != nil {
		return err
	}
	f.conv = NewConverter(f.id, f.session, f.epoch, format, how)
	f.log.Info("source started", "source", sourceName, "epoch", f.epoch, "rate_hz", format.SampleRateHz, "channels", format.Channels)
	announce(f.rt, f.id, "source started")
	return nil
}

// giveUp ends a session whose gateway has died: it says so in the gateway's place, unless
// the gateway has stored something meanwhile.
func (f *follower) giveUp(ctx context.Context) error {
	if f.conv == nil {
		return nil
	}
	f.log.Warn("a remote client's gateway is silent, its stream ends", "after", f.rt.Config.Egress.ListenAPI.IdleTimeout)
	_, err := f.rt.Bus.StoreIngest(ctx, &rtapv1.IngestChunk{
		StreamId: f.id, Session: f.session, Number: f.number, ByteOffset: f.conv.At(), Control: rtapv1.IngestChunk_CONTROL_CLOSE_STREAM,
		Received: clock.Now(), ReceivedAt: timestamppb.Now(),
	}, f.sequence)
	if errors.Is(err, bus.ErrConflict) {
		return nil // it will be read
	}
	return err
}

// end waits until vad has taken the session's end, and removes what is left of it.
func (f *follower) end(ctx context.Context) error {
	for {
		if err := f.pub.Refresh(ctx); err != nil {
			return err
		}
		cp, _, err := f.rt.Bus.LoadCheckpoint(ctx, f.id)
		if err == nil && cp.GetEpoch() >= f.epoch && (cp.GetEnded() || cp.GetEpoch() > f.epoch) {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(endEvery):
		}
	}
	ok := bus.Retry(ctx, f.log, "removing a remote client's audio", func() error {
		last, sequence, err := f.rt.Bus.LastIngest(ctx, f.id)
		if err != nil || last.GetSession() != f.session {
			return err
		}
		return f.rt.Bus.RemoveIngest(ctx, f.id, sequence)
	})
	if !ok {
		return ctx.Err()
	}
	f.log.Info("source ended", "source", sourceName, "epoch", f.epoch)
	announce(f.rt, f.id, "source ended")
	return nil
}
