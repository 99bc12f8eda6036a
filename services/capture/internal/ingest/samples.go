package ingest

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/framer"
	"github.com/rtap/rtap/services/capture/internal/soxr"
)

// feed converts bytes that follow those before.
func (c *Converter) feed(data []byte) ([]*rtapv1.Frame, error) {
	c.at += uint64(len(data))
	data = append(c.half, data...)
	whole := len(data) / int(c.format.SampleBytes()) * int(c.format.SampleBytes())
	c.half = append([]byte(nil), data[whole:]...)
	if c.format.SampleRateHz == ingest.SampleRateHz {
		return c.emit(c.mix(data[:whole])), nil
	}
	if c.resample == nil {
		var err error
		if c.resample, err = soxr.New(c.format.SampleRateHz, ingest.SampleRateHz); err != nil {
			return nil, err
		}
	}
	in := c.mix(data[:whole])
	floats := make([]float32, len(in))
	for i, x := range in {
		floats[i] = float32(x) / 32768
	}
	if len(floats) == 0 {
		return nil, nil
	}
	return c.resampled(floats, math.MaxUint64)
}

// resampled pushes floats (nil: the end) and takes what comes out, up to sample limit.
func (c *Converter) resampled(floats []float32, limit uint64) ([]*rtapv1.Frame, error) {
	out, err := c.resample.Push(floats)
	if err != nil {
		return nil, fmt.Errorf("converting audio of %s: %w", c.stream, err)
	}
	out = out[:min(uint64(len(out)), max(limit, c.out)-c.out)]
	pcm := make([]int16, len(out))
	for i, x := range out {
		pcm[i] = framer.Quantise(x)
	}
	return c.emit(pcm), nil
}

// emit appends samples of the run and returns the frames that are whole.
func (c *Converter) emit(pcm []int16) (frames []*rtapv1.Frame) {
	for _, x := range pcm {
		if c.out >= c.position() {
			c.pcm = binary.LittleEndian.AppendUint16(c.pcm, uint16(x))
		}
		c.out++
		if len(c.pcm) == 2*ingest.FrameSamples {
			frames = append(frames, c.frame(c.arrived(c.format.Source(c.run, c.out-1))))
		}
	}
	return frames
}

// mix reads samples of 16 bits and makes one channel of them.
func (c *Converter) mix(raw []byte) []int16 {
	in, step := c.mixer.Frame(), int(c.format.SampleBytes())
	out := make([]int16, 0, len(raw)/step)
	for ; len(raw) > 0; raw = raw[step:] {
		for i := range in {
			in[i] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
		}
		out = append(out, int16(32768*c.mixer.Mix())) // what is one channel stays as it is
	}
	return out
}
