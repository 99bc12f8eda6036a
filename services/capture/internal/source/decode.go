package source

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/rtap/rtap/services/capture/internal/mono"
)

// ErrFile is wrapped by errors about a file that cannot be played.
var ErrFile = errors.New("cannot play")

// errNotAudio is what a file is whose first bytes are neither WAV's nor FLAC's.
var errNotAudio = errors.New("it is neither WAV nor FLAC; convert it to one of them first, for example with ffmpeg or sox")

// Decoder reads a file's audio piece by piece, so that its length does not matter.
// For one goroutine at a time.
type Decoder interface {
	// RateHz is the rate of what Read gives, in samples per second.
	RateHz() int
	// Read returns the next samples, all channels made one, mostly in -1 to 1
	// (float files may hold anything); never none without an error. io.EOF is the end.
	// The slice is valid until the next call.
	Read() ([]float32, error)
	Close() error
}

// OpenFile opens a WAV or FLAC file; which one is told by its first bytes. A file that
// is cut short, or has not the channel that is chosen, is refused here, before anything of it is
// played.
func OpenFile(path string, how mono.How) (Decoder, error) {
	// A named pipe would block in Open.
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	switch {
	case st.IsDir():
		return nil, fmt.Errorf("%w %s: it is a folder", ErrFile, path)
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%w %s: it is not a regular file", ErrFile, path)
	case st.Size() == 0:
		return nil, fmt.Errorf("%w %s: it is empty", ErrFile, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	d, err := decoder(f, st.Size(), how)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%w %s: %w", ErrFile, path, err)
	}
	return &named{Decoder: d, path: path}, nil
}

func decoder(f *os.File, size int64, how mono.How) (Decoder, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(f, head); err != nil {
		return nil, errors.New("it is too short for audio")
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	switch {
	case string(head) == "RIFF" || string(head) == "RF64":
		return newWAV(f, size, how)
	case string(head) == "RIFX":
		return nil, errors.New("it is a big-endian WAV (RIFX), which is not supported")
	case string(head) == "fLaC":
		return newFLAC(f, size, how)
	case string(head[:3]) == "ID3":
		// FLAC may stand behind such a tag; mostly MP3 does.
		d, err := newFLAC(f, size, how)
		if errors.Is(err, errSignature) {
			return nil, errNotAudio
		}
		return d, err
	default:
		return nil, errNotAudio
	}
}

// named adds the file's name to the errors of reading.
type named struct {
	Decoder
	path string
}

func (n *named) Read() ([]float32, error) {
	pcm, err := n.Decoder.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w %s: %w", ErrFile, n.path, err)
	}
	return pcm, err
}
