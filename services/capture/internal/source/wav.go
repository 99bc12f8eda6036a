package source

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/rtap/rtap/services/capture/internal/mono"
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

// wavPiece is how many samples of each channel one Read takes.
const wavPiece = 4096

// wavFile reads RIFF/WAVE itself: the kept Go libraries leave out float samples or
// WAVE_FORMAT_EXTENSIBLE, and do not tell a truncated file from a whole one.
type wavFile struct {
	file             *os.File
	in               *bufio.Reader
	at, size         int64 // position, length of the file
	riffSize         int64
	dataSize64       int64 // of an RF64 file; -1 without
	rate, channels   int
	encoding, sample int // sample: bytes of one sample of one channel
	left             int64
	raw              []byte
	buf              []float32
	mixer            *mono.Mixer
}

func newWAV(f *os.File, size int64, how mono.How) (Decoder, error) {
	d := &wavFile{file: f, in: bufio.NewReaderSize(f, 1<<16), size: size, dataSize64: -1}
	var head [12]byte
	if err := d.fill(head[:]); err != nil || string(head[8:]) != "WAVE" {
		return nil, errors.New("it is RIFF but not WAVE")
	}
	d.riffSize = int64(binary.LittleEndian.Uint32(head[4:]))
	for {
		var chunk [8]byte
		if err := d.fill(chunk[:]); err != nil {
			return nil, errors.New("truncated: it has no audio data")
		}
		name, n := string(chunk[:4]), int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch name {
		case "fmt ", "ds64":
			raw, err := d.chunk(name, n)
			if err != nil {
				return nil, err
			}
			if name == "ds64" {
				d.dataSize64 = int64(binary.LittleEndian.Uint64(raw[8:]))
			} else if err := d.format(raw); err != nil {
				return nil, err
			}
		case "data":
			if err := d.data(n); err != nil {
				return nil, err
			}
			d.mixer = mono.New(d.channels, d.rate, how)
			return d, how.Fits(d.channels)
		default:
			if err := d.skip(n); err != nil {
				return nil, errors.New("truncated: it has no audio data")
			}
		}
		if n%2 == 1 && d.skip(1) != nil {
			return nil, errors.New("truncated: it has no audio data")
		}
	}
}

func (d *wavFile) fill(p []byte) error {
	n, err := io.ReadFull(d.in, p)
	d.at += int64(n)
	return err
}

func (d *wavFile) skip(n int64) error {
	if n > d.size-d.at {
		return io.ErrUnexpectedEOF
	}
	d.at += n
	_, err := io.CopyN(io.Discard, d.in, n)
	return err
}

// chunk reads one of the two small chunks that count.
func (d *wavFile) chunk(name string, n int64) ([]byte, error) {
	if n < 16 || n > 4096 {
		return nil, fmt.Errorf("bad WAV: %q chunk of %d bytes", name, n)
	}
	raw := make([]byte, n)
	if err := d.fill(raw); err != nil {
		return nil, fmt.Errorf("truncated in the %q chunk", name)
	}
	return raw, nil
}

func (d *wavFile) format(raw []byte) error {
	d.encoding = int(binary.LittleEndian.Uint16(raw))
	d.channels = int(binary.LittleEndian.Uint16(raw[2:]))
	d.rate = int(binary.LittleEndian.Uint32(raw[4:]))
	block := int(binary.LittleEndian.Uint16(raw[12:]))
	bits := int(binary.LittleEndian.Uint16(raw[14:]))
	if d.encoding == wavExtensible {
		if len(raw) < 26 {
			return errors.New("bad WAV: short extensible format")
		}
		d.encoding = int(binary.LittleEndian.Uint16(raw[24:])) // first bytes of the sub-format's GUID
	}
	if d.channels < 1 || d.channels > 64 || d.rate < 1000 || d.rate > 768000 {
		return fmt.Errorf("bad WAV: %d channels at %d Hz", d.channels, d.rate)
	}
	// Samples may lie in wider containers, such as 24 bits in 4 bytes; they are left-aligned there.
	d.sample = (bits + 7) / 8
	if container := block / d.channels; bits > 0 && block%d.channels == 0 && container > d.sample {
		d.sample = container
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

// data settles how much audio there is.
func (d *wavFile) data(n int64) error {
	if d.rate == 0 {
		return errors.New("bad WAV: data before format")
	}
	if d.dataSize64 >= 0 && n == math.MaxUint32 {
		n = d.dataSize64
	}
	there := d.size - d.at
	if n > there && unknownSize(n) || n == 0 && d.riffSize+8 != d.size {
		n = there
	}
	if n > there {
		return fmt.Errorf("truncated: header promises %d bytes of audio, file has %d", n, there)
	}
	block := int64(d.sample * d.channels)
	d.left = n / block * block
	if d.left == 0 {
		return errors.New("it holds no audio")
	}
	return nil
}

// unknownSize: programs that write to a pipe cannot fill in the size and leave 0, about
// 2 GiB (sox, arecord) or the maximum (ffmpeg).
func unknownSize(n int64) bool {
	return n >= 0x7fff0000 && n <= 0x80000000 || n >= 0xffff0000 && n <= 0xffffffff
}

func (d *wavFile) RateHz() int  { return d.rate }
func (d *wavFile) Close() error { return d.file.Close() }

func (d *wavFile) Read() ([]float32, error) {
	if d.left == 0 {
		return nil, io.EOF
	}
	block := d.sample * d.channels
	n := min(d.left, int64(wavPiece*block))
	if int64(cap(d.raw)) < n {
		d.raw = make([]byte, n)
	}
	raw := d.raw[:n]
	if _, err := io.ReadFull(d.in, raw); err != nil {
		return nil, fmt.Errorf("it became shorter while it was read: %d bytes of audio are missing", d.left)
	}
	d.left -= n
	d.buf = d.buf[:0]
	frame := d.mixer.Frame()
	for ; len(raw) > 0; raw = raw[block:] {
		for c := range frame {
			frame[c] = d.value(raw[c*d.sample:])
		}
		d.buf = append(d.buf, d.mixer.Mix())
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
