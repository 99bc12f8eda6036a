// Package ingest turns the audio of remote clients, as the gateway stored it, into frames.
package ingest

import (
	"math"

	"github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"github.com/rtap/rtap/services/capture/internal/soxr"
)

// sourceName is what frames name as their source.
const sourceName = "listen"

// Converter makes one session's frames from its chunks. Its frames depend on nothing but
// the bytes and what the client asked for: a successor makes the same ones again, from
// wherever it begins. For one goroutine.
type Converter struct {
	stream, session string
	epoch           uint64
	format          ingest.Format

	run      ingest.Run
	next     uint64 // frame that is made next
	at       uint64 // byte that is taken next
	out      uint64 // sample of the run that the resampler gives next
	mixer    *mono.Mixer
	resample *soxr.Resampler
	half     []byte // the beginning of a sample
	pcm      []byte // of the next frame
	arrivals []arrival
	needed   []need
	ended    bool

	gapMS  uint32
	latest *rtapv1.Clock // when the newest chunk had come
}

// arrival says when the bytes before end had come.
type arrival struct {
	end uint64
	at  *rtapv1.Clock
}

// need says from which byte on audio is needed to make a frame again.
type need struct{ frame, byteOffset uint64 }

// NewConverter begins a session in an epoch of its own.
func NewConverter(stream, session string, epoch uint64, f ingest.Format, how mono.How) *Converter {
	return &Converter{stream: stream, session: session, epoch: epoch, format: f, mixer: mono.New(f.Channels, f.SampleRateHz, how)}
}

// ResumeConverter goes on after last, the newest stored frame of the session, with the
// frame at next or a later one: chunks are left from the byte at first on.
func ResumeConverter(last *rtapv1.Frame, f ingest.Format, how mono.How, next, first uint64) *Converter {
	p := last.GetIngest()
	c := &Converter{
		stream: last.GetStreamId(), session: p.GetSession(), epoch: last.GetEpoch(), format: f,
		mixer: mono.New(f.Channels, f.SampleRateHz, how),
		run:   ingest.Run{ByteOffset: p.GetByteOffset(), Frame: p.GetFrame()}, next: max(next, p.GetFrame()), ended: last.GetEnd(),
	}
	for ; ; c.next++ {
		// Behind a Finalize the run has ended, at a byte that only its chunk tells: it is
		// heard from its last frame on, which is not made again.
		from := c.next
		if last.GetFinalize() {
			from = min(from, last.GetFrame())
		}
		if c.at, c.out = f.Restart(c.run, (from-c.run.Frame)*ingest.FrameSamples); c.at >= first || c.next > last.GetFrame() {
			return c
		}
	}
}

// position is the run's sample with which the next frame begins.
func (c *Converter) position() uint64 { return (c.next - c.run.Frame) * ingest.FrameSamples }

// Close frees the resampler.
func (c *Converter) Close() {
	if c.resample != nil {
		c.resample.Close()
		c.resample = nil
	}
}

// Ended says that the session's last frame has been made.
func (c *Converter) Ended() bool { return c.ended }

// At is the byte that is taken next.
func (c *Converter) At() uint64 { return c.at }

// Take returns the frames that a chunk completes. What was taken before is passed over.
func (c *Converter) Take(chunk *rtapv1.IngestChunk) ([]*rtapv1.Frame, error) {
	if c.ended {
		return nil, nil
	}
	var frames []*rtapv1.Frame
	start, end := chunk.GetByteOffset(), chunk.GetByteOffset()+uint64(len(chunk.GetData()))
	defer func() { c.latest = chunk.GetReceived() }()
	if start > c.at {
		made, err := c.skip(start)
		if err != nil {
			return nil, err
		}
		frames = made
	}
	if end > c.at {
		c.arrivals = append(c.arrivals, arrival{end, chunk.GetReceived()})
		made, err := c.feed(chunk.GetData()[c.at-start:])
		if err != nil {
			return nil, err
		}
		frames = append(frames, made...)
	}
	switch chunk.GetControl() {
	case rtapv1.IngestChunk_CONTROL_FINALIZE:
		next := c.format.After(c.run, end)
		if next == c.run {
			break
		}
		made, err := c.finish(end, next.Frame, chunk.GetReceived())
		if err != nil {
			return nil, err
		}
		if n := len(made); n > 0 {
			made[n-1].Finalize = true
		}
		frames = append(frames, made...)
		c.begin(next)
	case rtapv1.IngestChunk_CONTROL_CLOSE_STREAM:
		made, err := c.finish(end, 0, chunk.GetReceived())
		if err != nil {
			return nil, err
		}
		last := c.frame(chunk.GetReceived())
		last.End = true
		frames = append(frames, append(made, last)...)
		c.ended = true
	}
	return frames, nil
}

// Settled says that all frames before one are stored for good, and returns the byte before
// which no audio is needed any more. What was asked for at that byte still is.
func (c *Converter) Settled(frame uint64) (before uint64) {
	n := 0
	for n+1 < len(c.needed) && c.needed[n].frame < frame {
		n++
	}
	c.needed = c.needed[n:]
	if len(c.needed) == 0 {
		return 0
	}
	return c.needed[0].byteOffset
}

// begin starts a run.
func (c *Converter) begin(r ingest.Run) {
	c.Close()
	c.run, c.out, c.pcm = r, 0, nil
	c.next = max(c.next, r.Frame)
}

// finish gives the rest of the run that ends before the byte at end, exactly as long as it
// is; then silence up to the frame at fill, if that is not 0.
func (c *Converter) finish(end, fill uint64, at *rtapv1.Clock) ([]*rtapv1.Frame, error) {
	var frames []*rtapv1.Frame
	length := c.format.Samples(c.run, end)
	if c.resample != nil {
		made, err := c.resampled(nil, length)
		if err != nil {
			return nil, err
		}
		frames = made
	}
	if c.out < length {
		frames = append(frames, c.emit(make([]int16, length-c.out))...)
	}
	for c.next < fill {
		frames = append(frames, c.filled(at))
	}
	return frames, nil
}

// skip goes on at a byte before which audio is missing, with the frame in whose time it
// was: all that follows keeps its place.
func (c *Converter) skip(to uint64) ([]*rtapv1.Frame, error) {
	frames, err := c.finish(c.at, 0, c.latest)
	if err != nil {
		return nil, err
	}
	if len(c.pcm) > 0 {
		frames = append(frames, c.filled(c.latest))
	}
	missing := c.format.Seconds(to) - c.format.Seconds(c.at)
	step := c.format.SampleBytes()
	to = c.run.ByteOffset + (to-c.run.ByteOffset+step-1)/step*step
	run := ingest.Run{ByteOffset: to, Frame: c.run.Frame + (c.format.Samples(c.run, to)+ingest.FrameSamples-1)/ingest.FrameSamples}
	if run.Frame >= c.next {
		c.gapMS = uint32(math.Round(1000 * missing))
	}
	c.begin(run)
	c.half, c.at = nil, to
	return frames, nil
}

// filled makes the next frame of what is there and silence.
func (c *Converter) filled(at *rtapv1.Clock) *rtapv1.Frame {
	c.pcm = append(c.pcm, make([]byte, 2*ingest.FrameSamples-len(c.pcm))...)
	return c.frame(at)
}

// frame makes the next one of what is there.
func (c *Converter) frame(captured *rtapv1.Clock) *rtapv1.Frame {
	from, _ := c.format.Restart(c.run, c.position())
	c.needed = append(c.needed, need{c.next, from})
	f := &rtapv1.Frame{
		StreamId: c.stream, Epoch: c.epoch, Frame: c.next, Clock: captured, SampleRateHz: ingest.SampleRateHz, Channels: 1,
		Pcm: c.pcm, GapMs: c.gapMS, Source: sourceName,
		Ingest: &rtapv1.IngestPosition{Session: c.session, ByteOffset: c.run.ByteOffset, Frame: c.run.Frame},
	}
	if f.GetGapMs() > 0 {
		f.GapReason = "audio was not stored or has expired"
	}
	c.next++
	c.pcm, c.gapMS = nil, 0
	return f
}

// arrived returns when the byte before end had come.
func (c *Converter) arrived(end uint64) *rtapv1.Clock {
	for len(c.arrivals) > 0 && c.arrivals[0].end < end {
		c.arrivals = c.arrivals[1:]
	}
	if len(c.arrivals) == 0 {
		return c.latest
	}
	return c.arrivals[0].at
}
