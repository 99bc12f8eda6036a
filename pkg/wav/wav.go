// Package wav reads and writes the one form in which recordings for tests and measurements
// are kept: mono 16-bit PCM. Everything else is refused with the way to convert it; what
// users play goes through the capture service, which takes more.
package wav

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// Audio of one channel.
type Audio struct {
	SampleRateHz int
	PCM          []float32 // in -1 to 1
}

const leastRateHz, mostRateHz = 4000, 384000

// ErrForm is wrapped by errors about audio of another form.
var ErrForm = errors.New("want a WAV file of mono 16-bit PCM; `ffmpeg -i IN -ar 16000 -ac 1 -c:a pcm_s16le OUT.wav` makes one")

// Read reads a file.
func Read(path string) (Audio, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Audio{}, fmt.Errorf("reading a recording: %w", err)
	}
	a, err := Parse(raw)
	if err != nil {
		return Audio{}, fmt.Errorf("%s: %w", path, err)
	}
	return a, nil
}

// Parse reads the content of a whole file.
func Parse(raw []byte) (a Audio, err error) {
	if len(raw) < 12 || string(raw[:4]) != "RIFF" || string(raw[8:12]) != "WAVE" {
		return a, fmt.Errorf("not RIFF/WAVE: %w", ErrForm)
	}
	for rest := raw[12:]; len(rest) >= 8; {
		name, n := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		if rest = rest[8:]; n > int64(len(rest)) {
			return a, fmt.Errorf("truncated: the chunk %q is %d bytes, and %d are there", name, n, len(rest))
		}
		body := rest[:n]
		switch name {
		case "fmt ":
			if a.SampleRateHz, err = rate(body); err != nil {
				return a, err
			}
		case "data":
			if a.SampleRateHz == 0 {
				return a, errors.New("bad WAV: data before format")
			}
			a.PCM = samples(body)
			return a, nil
		}
		rest = rest[min(n+n%2, int64(len(rest))):]
	}
	return a, errors.New("truncated: it has no audio data")
}

func rate(format []byte) (hz int, err error) {
	if len(format) < 16 {
		return 0, fmt.Errorf("bad WAV: format of %d bytes", len(format))
	}
	encoding, channels := binary.LittleEndian.Uint16(format), binary.LittleEndian.Uint16(format[2:])
	hz, bits := int(binary.LittleEndian.Uint32(format[4:])), binary.LittleEndian.Uint16(format[14:])
	if encoding != 1 || channels != 1 || bits != 16 {
		return 0, fmt.Errorf("%d channels, %d bits, encoding %d: %w", channels, bits, encoding, ErrForm)
	}
	if hz < leastRateHz || hz > mostRateHz {
		return 0, fmt.Errorf("bad WAV: %d Hz", hz)
	}
	return hz, nil
}

func samples(raw []byte) []float32 {
	out := make([]float32, len(raw)/2)
	for i := range out {
		out[i] = float32(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
	}
	return out
}

// Format makes the content of a whole file; samples beyond -1 to 1 are clipped.
func Format(a Audio) []byte { return Interleave(a.SampleRateHz, a.PCM) }

// Interleave is [Format] for several channels, all as long as the first one.
func Interleave(sampleRateHz int, channels ...[]float32) []byte {
	frame := 2 * len(channels)
	size := frame * len(channels[0])
	out := make([]byte, 0, 44+size)
	put16 := func(x uint16) { out = binary.LittleEndian.AppendUint16(out, x) }
	put32 := func(x uint32) { out = binary.LittleEndian.AppendUint32(out, x) }
	out = append(out, "RIFF"...)
	put32(uint32(36 + size))
	out = append(out, "WAVEfmt "...)
	put32(16)
	put16(1) // PCM
	put16(uint16(len(channels)))
	put32(uint32(sampleRateHz))
	put32(uint32(frame * sampleRateHz))
	put16(uint16(frame))
	put16(16)
	out = append(out, "data"...)
	put32(uint32(size))
	for i := range channels[0] {
		for _, c := range channels {
			put16(uint16(int16(32767 * min(1, max(-1, c[i])))))
		}
	}
	return out
}
