package source

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

// errSignature: there is no FLAC stream at all.
var errSignature = errors.New("no FLAC stream")

type flacFile struct {
	file   *os.File
	stream *flac.Stream
	buf    []float32
	mixer  *mono.Mixer
	played uint64
}

func newFLAC(f *os.File, size int64, how mono.How) (Decoder, error) {
	s, err := flac.New(bufio.NewReaderSize(f, 1<<16))
	if s == nil || err != nil {
		return nil, fmt.Errorf("bad FLAC: %w: %w", errSignature, err)
	}
	if s.Info == nil || s.Info.SampleRate < 1000 || s.Info.NChannels == 0 {
		return nil, errors.New("bad FLAC: its header gives no usable rate or channels")
	}
	channels := int(s.Info.NChannels)
	if err := how.Fits(channels); err != nil {
		return nil, err
	}
	d := &flacFile{file: f, stream: s, mixer: mono.New(channels, int(s.Info.SampleRate), how)}
	if err := d.whole(size); err != nil {
		return nil, err
	}
	return d, nil
}

// whole refuses a file whose end is missing: near the end there must be a frame that is
// intact and holds the last sample that the header promises. Scanning the whole file
// would take minutes for a long one.
func (d *flacFile) whole(size int64) error {
	info := d.stream.Info
	if info.NSamples == 0 {
		return nil // a program that wrote to a pipe could not know
	}
	// Uncompressed, a block is as large as it can be; two of them and room for a tag.
	block := int64(max(info.BlockSizeMax, 4608)) * int64(info.NChannels) * int64(info.BitsPerSample+8) / 8
	from := max(0, size-2*max(block, int64(info.FrameSizeMax))-1<<16)
	tail := make([]byte, size-from)
	if _, err := d.file.ReadAt(tail, from); err != nil {
		return err
	}
	reached := uint64(0)
	for i := 0; i+1 < len(tail); i++ {
		if tail[i] != 0xff || tail[i+1]&0xfe != 0xf8 {
			continue
		}
		f, err := frame.New(bytes.NewReader(tail[i:]))
		if err != nil {
			continue
		}
		start := f.Num
		if f.HasFixedBlockSize {
			start *= uint64(info.BlockSizeMax)
		}
		if start+uint64(f.BlockSize) > info.NSamples {
			continue // what looks like a header by chance
		}
		if d.parse(f) == nil {
			reached = max(reached, start+uint64(f.BlockSize))
		}
	}
	if reached < info.NSamples {
		return fmt.Errorf("truncated: header promises %d samples, the last that is intact is %d", info.NSamples, reached)
	}
	return nil
}

func (d *flacFile) parse(f *frame.Frame) error {
	if f.BitsPerSample == 0 {
		f.BitsPerSample = d.stream.Info.BitsPerSample
	}
	return f.Parse()
}

func (d *flacFile) RateHz() int  { return int(d.stream.Info.SampleRate) }
func (d *flacFile) Close() error { return d.file.Close() }

func (d *flacFile) Read() ([]float32, error) {
	want := d.stream.Info.NSamples
	if want > 0 && d.played >= want {
		return nil, io.EOF // a tag may follow
	}
	f, err := d.stream.Next()
	if errors.Is(err, io.EOF) && want == 0 && d.played > 0 {
		return nil, io.EOF
	}
	if err == nil {
		err = d.parse(f)
	}
	if err != nil {
		return nil, fmt.Errorf("bad FLAC after %d samples: %w", d.played, err)
	}
	n := int(f.BlockSize)
	if n == 0 || len(f.Subframes) == 0 || f.BitsPerSample == 0 {
		return nil, fmt.Errorf("bad FLAC after %d samples: an empty frame", d.played)
	}
	in := d.mixer.Frame()
	if len(f.Subframes) != len(in) {
		return nil, fmt.Errorf("bad FLAC after %d samples: a frame of %d channels, and the header says %d", d.played, len(f.Subframes), len(in))
	}
	d.played += uint64(n)
	for _, sub := range f.Subframes {
		if len(sub.Samples) < n {
			return nil, fmt.Errorf("bad FLAC after %d samples: a short subframe", d.played)
		}
	}
	scale := 1 / float32(int64(1)<<(f.BitsPerSample-1))
	d.buf = d.buf[:0]
	for i := range n {
		for c, sub := range f.Subframes {
			in[c] = float32(sub.Samples[i]) * scale
		}
		d.buf = append(d.buf, d.mixer.Mix())
	}
	return d.buf, nil
}
