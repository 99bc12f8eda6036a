package listen

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// aheadSeconds is how much audio may wait on the bus for a client that sends faster
	// than it is taken.
	aheadSeconds = 60
	// tellAfter is how long storing may fail before the client is told.
	tellAfter = time.Second
	// storeAttempt bounds one attempt.
	storeAttempt = 2 * time.Second
	// beats is how many heartbeats go into egress.listen_api.idle_timeout, after which capture
	// takes the gateway for dead.
	beats = 4
)

// Why audio cannot be stored.
var (
	errEnded     = errors.New("the stream was ended meanwhile")
	errNotStored = errors.New("audio could not be stored")
)

// uplink stores what a client sends, in order, one chunk after the other. Each write names
// the one before, so that a stream has one writer whatever happens.
type uplink struct {
	bus          *bus.Bus
	log          *slog.Logger
	chunk        *rtapv1.IngestChunk // what all chunks have in common
	format       ingest.Format
	timeline     *timeline
	beat         time.Duration
	storeTimeout time.Duration
	warn         func(variant, description string) // must not block
	stored       func()                            // counts a chunk
	asked        func(stored bool)                 // a Finalize is stored, or nothing has come since the last; must not block

	*queue

	sum      hash.Hash     // of the stored audio; read it when done
	offset   atomic.Uint64 // bytes stored
	number   uint64
	sequence uint64
	floor    uint64        // byte before which capture has taken everything
	done     chan struct{} // closed when nothing will be stored any more
	err      error         // why, if not because all is stored; read it when done
}

// open stores the session's first chunk. bus.ErrConflict says that the stream has a writer.
func (u *uplink) open(ctx context.Context) error {
	u.done, u.sum = make(chan struct{}), sha256.New()
	u.queue = newQueue(u.done)
	at, err := u.bus.StoreIngest(ctx, u.make(piece{at: clock.Now()}), 0)
	if err != nil {
		return err
	}
	u.sequence, u.number = at, 1
	return nil
}

// make fills a chunk with a piece.
func (u *uplink) make(p piece) *rtapv1.IngestChunk {
	return &rtapv1.IngestChunk{
		StreamId: u.chunk.GetStreamId(), Session: u.chunk.GetSession(), Encoding: u.chunk.GetEncoding(),
		SampleRateHz: u.chunk.GetSampleRateHz(), Channels: u.chunk.GetChannels(),
		Number: u.number, ByteOffset: u.offset.Load(), Data: p.data, Control: p.control,
		Received: p.at, ReceivedAt: p.at.GetCapturedAt(),
	}
}

// run stores until the end is stored, or that has become impossible, or ctx is done.
func (u *uplink) run(ctx context.Context) {
	defer close(u.done)
	beat := time.NewTimer(u.beat)
	defer beat.Stop()
	for {
		p, ok := u.take()
		if !ok {
			select {
			case <-u.more:
				continue
			case <-beat.C:
				p = piece{at: clock.Now()} // capture sees that the client is still there
			case <-ctx.Done():
				u.err = ctx.Err()
				return
			}
		}
		if p.control == rtapv1.IngestChunk_CONTROL_FINALIZE {
			more := u.timeline.finalize(u.offset.Load() + uint64(len(p.data)))
			u.asked(more)
			if !more {
				p.control = rtapv1.IngestChunk_CONTROL_UNSPECIFIED
			}
		}
		if u.err = u.store(ctx, u.make(p)); u.err != nil {
			return
		}
		if p.control == rtapv1.IngestChunk_CONTROL_CLOSE_STREAM {
			return
		}
		beat.Reset(u.beat)
	}
}

// store stores a chunk, as often as it takes within store_timeout.
func (u *uplink) store(ctx context.Context, c *rtapv1.IngestChunk) error {
	if err := u.await(ctx, c); err != nil {
		return err
	}
	began, told := time.Now(), false
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		again := u.bus.Reconnected()
		at, err := u.attempt(ctx, again, c)
		switch {
		case err == nil:
			u.sequence = at
			u.number++
			u.sum.Write(c.GetData())
			u.offset.Add(uint64(len(c.GetData())))
			u.stored()
			if told {
				u.warn("STORED", "audio is stored again, nothing was lost")
			}
			return nil
		case errors.Is(err, errEnded), ctx.Err() != nil:
			return err
		case time.Since(began) > u.storeTimeout:
			return fmt.Errorf("%w for %v: %w", errNotStored, u.storeTimeout, err)
		case !told && time.Since(began) > tellAfter:
			told = true
			u.log.Warn("a client's audio cannot be stored", "error", err)
			u.warn("NOT-STORED", "audio waits and the connection is not read, since it cannot be stored: "+err.Error())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again:
		case <-time.After(wait):
		}
	}
}

// attempt tries once; an answer that a lost connection has taken with it is not waited for.
func (u *uplink) attempt(ctx context.Context, again <-chan struct{}, c *rtapv1.IngestChunk) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeAttempt)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-again:
			cancel()
		case <-over:
		}
	}()
	at, err := u.bus.StoreIngest(ctx, c, u.sequence)
	if errors.Is(err, bus.ErrConflict) {
		return u.reread(ctx, c)
	}
	return at, err
}

// reread finds out what a refused write means: it is there and only its acknowledgement was
// lost; the server has lost what was before it; or another has ended the stream.
func (u *uplink) reread(ctx context.Context, c *rtapv1.IngestChunk) (uint64, error) {
	last, at, err := u.bus.LastIngest(ctx, c.GetStreamId())
	switch {
	case err != nil:
		return 0, err
	case last.GetSession() != c.GetSession():
		return 0, errEnded
	case last.GetNumber() == c.GetNumber() && last.GetControl() == c.GetControl() && len(last.GetData()) == len(c.GetData()):
		return at, nil
	case last.GetControl() == rtapv1.IngestChunk_CONTROL_CLOSE_STREAM:
		return 0, errEnded
	}
	u.sequence = at
	u.log.Error("the server has lost audio of a client", "chunks", c.GetNumber()-last.GetNumber()-1)
	u.warn("LOST", fmt.Sprintf("the server has lost %.2f s of audio that it had stored",
		u.format.Seconds(c.GetByteOffset())-u.format.Seconds(last.GetByteOffset()+uint64(len(last.GetData())))))
	return 0, bus.ErrConflict
}

// await holds a chunk back while too much audio waits to be taken.
func (u *uplink) await(ctx context.Context, c *rtapv1.IngestChunk) error {
	ahead := uint64(aheadSeconds*u.format.SampleRateHz) * u.format.SampleBytes()
	end := c.GetByteOffset() + uint64(len(c.GetData()))
	for progress := time.Now(); end > u.floor+ahead; {
		first, _, err := u.bus.FirstIngest(ctx, c.GetStreamId())
		if err == nil && first.GetSession() == c.GetSession() && first.GetByteOffset() > u.floor {
			u.floor, progress = first.GetByteOffset(), time.Now()
			continue
		}
		if time.Since(progress) > u.storeTimeout {
			return fmt.Errorf("%w for %v: nobody takes it; is a capture process with the source listen, and vad, running?", errNotStored, u.storeTimeout)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}
