package source

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mewkiz/flac"
)

// ErrFile is wrapped by errors about a file that cannot be played.
var ErrFile = errors.New("cannot play")

// Decoder reads a file's audio. Read returns mono samples in -1 to 1 at RateHz, io.EOF
// at the end; the slice is valid until the next call.
type Decoder interface {
	RateHz() int
	Read() ([]float32, error)
	Close() error
}

// OpenFile opens a WAV or FLAC file; which one is told by its first bytes.
func OpenFile(path string) (Decoder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	d, err := decoder(f)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w %s: %w", ErrFile, path, err)
	}
	return d, nil
}

func decoder(f *os.File) (Decoder, error) {
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case st.IsDir():
		return nil, errors.New("it is a folder")
	case st.Size() == 0:
		return nil, errors.New("it is empty")
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, errors.New("it is too short for audio")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch string(head) {
	case "RIFF":
		return newWAV(f, st.Size())
	case "fLaC":
		return newFLAC(f)
	default:
		return nil, errors.New("it is neither WAV nor FLAC")
	}
}

type flacFile struct {
	file   *os.File
	stream *flac.Stream
	buf    []float32
	played uint64
}

func newFLAC(f *os.File) (Decoder, error) {
	s, err := flac.New(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		return nil, fmt.Errorf("bad FLAC: %w", err)
	}
	return &flacFile{file: f, stream: s}, nil
}

func (d *flacFile) RateHz() int  { return int(d.stream.Info.SampleRate) }
func (d *flacFile) Close() error { return d.file.Close() }

func (d *flacFile) Read() ([]float32, error) {
	frame, err := d.stream.ParseNext()
	if errors.Is(err, io.EOF) {
		if want := d.stream.Info.NSamples; want > 0 && d.played < want {
			return nil, fmt.Errorf("truncated: header promises %d samples, file has %d", want, d.played)
		}
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("bad FLAC after %d samples: %w", d.played, err)
	}
	n := int(frame.BlockSize)
	d.played += uint64(n)
	scale := 1 / float32(int64(1)<<(d.stream.Info.BitsPerSample-1)) / float32(len(frame.Subframes))
	d.buf = append(d.buf[:0], make([]float32, n)...)
	for _, sub := range frame.Subframes {
		for i, x := range sub.Samples[:n] {
			d.buf[i] += float32(x) * scale
		}
	}
	return d.buf, nil
}
