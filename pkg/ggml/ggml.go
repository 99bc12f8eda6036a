// Package ggml checks Whisper models in whisper.cpp's file format without any C code: a
// file that passes holds every tensor that its header promises, whole and of the right
// shape and type, so that the C++ loader cannot be led astray by a damaged one.
//
// The format is that of whisper.cpp's models/convert-pt-to-ggml.py: little-endian, magic,
// eleven numbers, mel filters, vocabulary, then tensors up to the end of the file.
package ggml

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// ErrModel is wrapped by errors about a file that is not a usable Whisper model.
var ErrModel = errors.New("not a usable Whisper model")

const (
	magic = 0x67676d6c
	// quantVersion times the version of the quantised formats is added to the file type.
	quantVersion = 1000
	melBins      = 201
	longestName  = 128
	longestToken = 1024
)

// Header is what a model says of itself, in the file's order.
type Header struct {
	Vocabulary  int32 // entries of the token embedding
	AudioCtx    int32 // encoder positions, of 20 ms each
	AudioState  int32
	AudioHeads  int32
	AudioLayers int32
	TextCtx     int32 // decoder positions
	TextState   int32
	TextHeads   int32
	TextLayers  int32
	Mels        int32
	FileType    int32
}

// Multilingual says whether the model knows more than English.
func (h Header) Multilingual() bool { return h.Vocabulary >= 51865 }

// Languages is the number of languages of a multilingual model, 1 for an English one.
func (h Header) Languages() int {
	if !h.Multilingual() {
		return 1
	}
	return int(h.Vocabulary) - 51765 - 1
}

// Dtype names how most weights are stored: f32, f16, q8_0 and so on.
func (h Header) Dtype() string { return fileTypes[h.FileType%quantVersion].name }

// Model is a file that has been checked.
type Model struct {
	Header  Header
	Size    int64 // bytes of the file
	Tensors int
}

// Memory is what one loaded copy takes at most, in bytes: the weights, and for caches and
// work between them a bound that fits what was measured from tiny to base and what
// whisper.cpp's README states up to large.
func (m *Model) Memory() int64 {
	state := int64(m.Header.AudioState)
	return m.Size + 120<<20 + 540*state*state
}

// Check reads the structure of the file at path, not its weights.
func Check(path string) (*Model, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w: it is not a regular file", path, ErrModel)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: %w: run `chmod a+r %s`, or whatever lets this user read it", ErrModel, err, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	defer func() { _ = f.Close() }()
	r := newReader(f, st.Size())
	m := &Model{Size: st.Size()}
	if err := r.model(m); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
	}
	return m, nil
}

type reader struct {
	in   *bufio.Reader
	file *os.File
	size int64
	at   int64
}

func newReader(f *os.File, size int64) *reader {
	return &reader{in: bufio.NewReaderSize(f, 1<<16), file: f, size: size}
}

// read fills v from the next bytes.
func (r *reader) read(v any, what string) error {
	if err := binary.Read(r.in, binary.LittleEndian, v); err != nil {
		return fmt.Errorf("truncated: it ends after %d bytes, in %s", r.size, what)
	}
	r.at += int64(binary.Size(v))
	return nil
}

// skip passes over n bytes without reading them.
func (r *reader) skip(n int64, what string) error {
	if n > r.size-r.at {
		return fmt.Errorf("truncated: %s needs %d bytes more than the file's %d", what, n-(r.size-r.at), r.size)
	}
	r.at += n
	if n <= int64(r.in.Buffered()) {
		_, err := r.in.Discard(int(n))
		return err
	}
	if _, err := r.file.Seek(r.at, io.SeekStart); err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	r.in.Reset(r.file)
	return nil
}

func (r *reader) model(m *Model) error {
	var found uint32
	if err := r.read(&found, "the magic number"); err != nil {
		return err
	}
	if found != magic {
		return fmt.Errorf("it begins with %#08x instead of %#08x (a GGUF, ONNX or other file?)", found, magic)
	}
	if err := r.read(&m.Header, "the header"); err != nil {
		return err
	}
	if err := m.Header.Validate(); err != nil {
		return err
	}
	if err := r.filters(m.Header); err != nil {
		return err
	}
	if err := r.vocabulary(m.Header); err != nil {
		return err
	}
	return r.tensors(m)
}

// Validate refuses numbers that no Whisper model has; the bounds are wide enough for
// fine-tuned and distilled ones.
func (h Header) Validate() error {
	for _, n := range []struct {
		name     string
		value    int32
		min, max int32
	}{
		{"n_vocab", h.Vocabulary, 51864, 52000}, {"n_audio_ctx", h.AudioCtx, 1, 1500},
		{"n_audio_state", h.AudioState, 64, 4096}, {"n_audio_head", h.AudioHeads, 1, 64}, {"n_audio_layer", h.AudioLayers, 1, 64},
		{"n_text_ctx", h.TextCtx, 1, 448}, {"n_text_state", h.TextState, 64, 4096},
		{"n_text_head", h.TextHeads, 1, 64}, {"n_text_layer", h.TextLayers, 1, 64},
		{"n_mels", h.Mels, 80, 128}, {"ftype", h.FileType, 0, 10 * quantVersion},
	} {
		if n.value < n.min || n.value > n.max {
			return fmt.Errorf("its header says %s = %d, outside %d to %d (damaged, or of another family)", n.name, n.value, n.min, n.max)
		}
	}
	switch {
	case h.AudioState != h.TextState:
		return fmt.Errorf("its header says n_audio_state = %d and n_text_state = %d; they must be equal", h.AudioState, h.TextState)
	case h.AudioState%h.AudioHeads != 0 || h.TextState%h.TextHeads != 0:
		return fmt.Errorf("its header says %d and %d heads, which do not divide a state of %d", h.AudioHeads, h.TextHeads, h.AudioState)
	case h.Dtype() == "":
		return fmt.Errorf("its header says ftype = %d, which is unknown", h.FileType)
	}
	return nil
}

func (r *reader) filters(h Header) error {
	var shape [2]int32
	if err := r.read(&shape, "the mel filters"); err != nil {
		return err
	}
	if shape != [2]int32{h.Mels, melBins} {
		return fmt.Errorf("its mel filters are %d × %d, want %d × %d", shape[0], shape[1], h.Mels, melBins)
	}
	return r.skip(4*int64(h.Mels)*melBins, "the mel filters")
}

func (r *reader) vocabulary(h Header) error {
	var n int32
	if err := r.read(&n, "the vocabulary"); err != nil {
		return err
	}
	// The special tokens at the end may be left out.
	if n < 50256 || n > h.Vocabulary {
		return fmt.Errorf("its vocabulary has %d entries, want 50256 to %d", n, h.Vocabulary)
	}
	for i := range n {
		var length uint32
		if err := r.read(&length, "the vocabulary"); err != nil {
			return err
		}
		if length > longestToken {
			return fmt.Errorf("entry %d of its vocabulary is %d bytes long", i, length)
		}
		if err := r.skip(int64(length), "the vocabulary"); err != nil {
			return err
		}
	}
	return nil
}
