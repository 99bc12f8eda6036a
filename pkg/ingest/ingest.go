// Package ingest counts the audio of remote clients: which sample of a stream is which
// byte that the client sent. The gateway, which tells the client times, and capture, which
// makes the frames, each count for themselves and must agree; so must capture's successor.
package ingest

// Frames of every stream.
const (
	SampleRateHz = 16000
	FrameSamples = 512
)

// settleSamples is how much a resampler gives, at 16 kHz, before a beginning in the middle
// is no longer heard.
const settleSamples = 400

// Format is how a client's bytes are samples: signed 16 bits, little-endian.
type Format struct {
	SampleRateHz, Channels int
}

// Run is audio that is resampled in one go: what the client sent from ByteOffset on is the
// audio from the first sample of Frame on.
type Run struct{ ByteOffset, Frame uint64 }

// SampleBytes is the length of one sample of all channels.
func (f Format) SampleBytes() uint64 { return 2 * uint64(f.Channels) }

// Seconds returns how long that many bytes are.
func (f Format) Seconds(bytes uint64) float64 {
	return float64(bytes/f.SampleBytes()) / float64(f.SampleRateHz)
}

// Samples returns how many samples at 16 kHz a run has that ends before the byte at end.
// Half a sample is not counted.
func (f Format) Samples(r Run, end uint64) uint64 {
	if end <= r.ByteOffset {
		return 0
	}
	n, rate := (end-r.ByteOffset)/f.SampleBytes(), uint64(f.SampleRateHz)
	return (2*n*SampleRateHz + rate) / (2 * rate)
}

// After returns the run that begins when a client asks for a final after the byte before
// end: its last frame is filled up with silence, so that the final can hold all of it. A
// run without any audio goes on.
func (f Format) After(r Run, end uint64) Run {
	n := f.Samples(r, end)
	if n == 0 {
		return r
	}
	whole := (end - r.ByteOffset) / f.SampleBytes() * f.SampleBytes()
	return Run{ByteOffset: r.ByteOffset + whole, Frame: r.Frame + n/FrameSamples + 1}
}

// Restart says where a resampler must begin to give the run from a sample on as one that
// began with the run does: at which byte, and which sample of the run that is.
func (f Format) Restart(r Run, sample uint64) (byteOffset, first uint64) {
	out, in := f.ratio()
	if out == in {
		return r.ByteOffset + sample*f.SampleBytes(), sample
	}
	if sample <= settleSamples {
		return r.ByteOffset, 0
	}
	steps := (sample - settleSamples) / out
	return r.ByteOffset + steps*in*f.SampleBytes(), steps * out
}

// Source returns the byte behind the last one that a sample of the run comes from.
func (f Format) Source(r Run, sample uint64) uint64 {
	return r.ByteOffset + (sample*uint64(f.SampleRateHz)/SampleRateHz+1)*f.SampleBytes()
}

// ratio returns the smallest numbers of samples, at 16 kHz and at the client's rate, that
// last equally long.
func (f Format) ratio() (out, in uint64) {
	a, b := uint64(SampleRateHz), uint64(f.SampleRateHz)
	for b > 0 {
		a, b = b, a%b
	}
	return SampleRateHz / a, uint64(f.SampleRateHz) / a
}
