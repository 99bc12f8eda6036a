// Package framer cuts a stream of samples into frames of 512 samples at 16 kHz.
package framer

import (
	"math"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Frames of every stream.
const (
	SampleRateHz = 16000
	Samples      = 512
)

// Framer numbers one epoch's frames. For one goroutine.
type Framer struct {
	stream, source string
	run            string
	epoch, next    uint64
	buf            []byte
	gapMS          uint32
	gapReason      string
}

// New starts an epoch at frame 0; run is the run of the pipeline, if it has a name.
func New(stream, source, run string, epoch uint64) *Framer {
	return &Framer{stream: stream, source: source, run: run, epoch: epoch}
}

// Gap marks audio lost before the next frame.
func (f *Framer) Gap(d time.Duration, reason string) {
	f.gapMS += uint32(d.Milliseconds())
	f.gapReason = reason
}

// Push takes samples whose last one was captured at the stamp, and returns whole frames.
func (f *Framer) Push(pcm []float32, captured *rtapv1.Clock) []*rtapv1.Frame {
	for _, x := range pcm {
		s := Quantise(x)
		f.buf = append(f.buf, byte(s), byte(s>>8))
	}
	var out []*rtapv1.Frame
	for len(f.buf) >= 2*Samples {
		rest := time.Duration(len(f.buf)/2-Samples) * time.Second / SampleRateHz
		out = append(out, f.frame(f.buf[:2*Samples], clock.Add(captured, -rest)))
		f.buf = append([]byte(nil), f.buf[2*Samples:]...)
	}
	return out
}

// End returns the last frame: what is left, perhaps nothing, marked as the end.
func (f *Framer) End(captured *rtapv1.Clock) *rtapv1.Frame {
	last := f.frame(f.buf, captured)
	last.End = true
	f.buf = nil
	return last
}

func (f *Framer) frame(pcm []byte, captured *rtapv1.Clock) *rtapv1.Frame {
	out := &rtapv1.Frame{
		StreamId: f.stream, Epoch: f.epoch, Frame: f.next, Clock: captured, SampleRateHz: SampleRateHz, Channels: 1,
		Pcm: pcm, GapMs: f.gapMS, GapReason: f.gapReason, Source: f.source, Run: f.run,
	}
	f.next++
	f.gapMS, f.gapReason = 0, ""
	return out
}

// Quantise returns a sample of 16 bits for one in -1 to 1; what is beyond is clipped.
func Quantise(x float32) int16 {
	switch {
	case x != x:
		return 0
	case x >= 1:
		return math.MaxInt16
	case x <= -1:
		return math.MinInt16
	default:
		return int16(math.Round(float64(x) * 32767))
	}
}
