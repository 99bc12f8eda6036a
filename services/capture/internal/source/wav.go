package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/zaf/g711"
)

// WAV encodings, from the format chunk.
const (
	wavPCM        = 1
	wavFloat      = 3
	wavALaw       = 6
	wavMuLaw      = 7
	wavExtensible = 0xfffe
)

// wavFile reads RIFF/WAVE itself: the kept Go libraries leave out float samples or
// WAVE_FORMAT_EXTENSIBLE, and do not tell a truncated file from a whole one.
type wavFile struct {
	file             *os.File
	in               *bufio.Reader
	rate, channels   int
	encoding, sample int // sample: bytes of one sample of one channel
	left             int64
	raw              []byte
	buf              []float32
}

func newWAV(f *os.File, size int64) (Decoder, error) {
	d := &wavFile{file: f, in: bufio.NewReaderSize(f, 1<<16)}
	var head [12]byte
	if _, err := io.ReadFull(d.in, head[:]); err != nil || string(head[8:]) != "WAVE" {
		return nil, errors.New("it is RIFF but not WAVE")
	}
	at := int64(len(head))
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(d.in, chunk[:]); err != nil {
			return nil, errors.New("truncated: it has no audio data")
		}
		at += 8
		n := int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch string(chunk[:4]) {
		case "fmt ":
			if err := d.format(n); err != nil {
				return nil, err
			}
		case "data":
			if d.rate == 0 {
				return nil, errors.New("bad WAV: data before format")
			}
			// Programs that write to a pipe leave the size at 0 or at its maximum.
			if n == 0 && size > at || n >= 0xffffff00 {
				n = size - at
			}
			if n > size-at {
				return nil, fmt.Errorf("truncated: header promises %d bytes of audio, file has %d", n, size-at)
			}
			d.left = n / int64(d.sample*d.channels) * int64(d.sample*d.channels)
			if d.left == 0 {
				return nil, errors.New("it holds no audio")
			}
			return d, nil
		default:
			if _, err := io.CopyN(io.Discard, d.in, n); err != nil {
				return nil, errors.New("truncated: it has no audio data")
			}
		}
		at += n
		if n%2 == 1 {
			_, _ = d.in.Discard(1)
			at++
		}
	}
}

func (d *wavFile) format(n int64) error {
	if n < 16 || n > 1024 {
		return fmt.Errorf("bad WAV: format chunk of %d bytes", n)
	}
	raw := make([]byte, n)
	if _, err := io.ReadFull(d.in, raw); err != nil {
		return errors.New("truncated in the format chunk")
	}
	d.encoding = int(binary.LittleEndian.Uint16(raw))
	d.channels = int(binary.LittleEndian.Uint16(raw[2:]))
	d.rate = int(binary.LittleEndian.Uint32(raw[4:]))
	bits := int(binary.LittleEndian.Uint16(raw[14:]))
	if d.encoding == wavExtensible {
		if n < 26 {
			return errors.New("bad WAV: short extensible format")
		}
		d.encoding = int(binary.LittleEndian.Uint16(raw[24:]))
	}
	d.sample = (bits + 7) / 8
	if d.channels < 1 || d.channels > 64 || d.rate < 1000 || d.rate > 768000 {
		return fmt.Errorf("bad WAV: %d channels at %d Hz", d.channels, d.rate)
	}
	ok := false
	switch d.encoding {
	case wavPCM:
		ok = d.sample >= 1 && d.sample <= 4
	case wavFloat:
		ok = d.sample == 4 || d.sample == 8
	case wavALaw, wavMuLaw:
		ok = d.sample == 1
	}
	if !ok {
		return fmt.Errorf("WAV encoding %d with %d bits is not supported: want PCM of 8 to 32 bits, float, A-law or µ-law", d.encoding, bits)
	}
	return nil
}

func (d *wavFile) RateHz() int  { return d.rate }
func (d *wavFile) Close() error { return d.file.Close() }

func (d *wavFile) Read() ([]float32, error) {
	if d.left == 0 {
		return nil, io.EOF
	}
	block := d.sample * d.channels
	n := min(d.left, int64(4096*block))
	if int64(cap(d.raw)) < n {
		d.raw = make([]byte, n)
	}
	raw := d.raw[:n]
	if _, err := io.ReadFull(d.in, raw); err != nil {
		return nil, fmt.Errorf("truncated: %d bytes of audio are missing", d.left)
	}
	d.left -= n
	d.buf = d.buf[:0]
	for ; len(raw) > 0; raw = raw[block:] {
		var sum float32
		for c := range d.channels {
			sum += d.value(raw[c*d.sample:])
		}
		d.buf = append(d.buf, sum/float32(d.channels))
	}
	return d.buf, nil
}

// value reads one sample as -1 to 1.
func (d *wavFile) value(b []byte) float32 {
	switch {
	case d.encoding == wavALaw:
		return float32(g711.DecodeAlawFrame(b[0])) / 32768
	case d.encoding == wavMuLaw:
		return float32(g711.DecodeUlawFrame(b[0])) / 32768
	case d.encoding == wavFloat && d.sample == 4:
		return math.Float32frombits(binary.LittleEndian.Uint32(b))
	case d.encoding == wavFloat:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
	}
	switch d.sample {
	case 1:
		return (float32(b[0]) - 128) / 128
	case 2:
		return float32(int16(binary.LittleEndian.Uint16(b))) / 32768
	case 3:
		return float32(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / (1 << 31)
	default:
		return float32(int32(binary.LittleEndian.Uint32(b))) / (1 << 31)
	}
}
