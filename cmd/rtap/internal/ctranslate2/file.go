package ctranslate2

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"github.com/x448/float16"
)

// Bounds that no Whisper model reaches; they keep a damaged file from asking for memory.
const (
	mostVariables = 10000
	longestName   = 512
	mostNumbers   = 1 << 28 // in one variable; the largest embedding has 66 million
)

// Types of numbers, of CTranslate2's enum DataType.
const (
	typeF32  = 0
	typeI8   = 1
	typeI16  = 2
	typeI32  = 3
	typeF16  = 4
	typeBF16 = 5
)

var bytesOf = map[uint8]int64{typeF32: 4, typeI8: 1, typeI16: 2, typeI32: 4, typeF16: 2, typeBF16: 2}

// variable is one entry of model.bin.
type variable struct {
	dims []int
	typ  uint8
	at   int64 // of its numbers in the file
}

// weights is an open model.bin.
type weights struct {
	file *os.File
	vars map[string]variable
}

// open reads the index of a model.bin of version 6 down to 4, not the numbers.
func open(path string) (w *weights, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrModel, err)
	}
	r := &index{in: bufio.NewReaderSize(f, 1<<12), file: f, size: st.Size()}
	vars, err := r.variables()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("truncated: it ends after %d bytes", st.Size())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", path, ErrModel, err)
	}
	return &weights{file: f, vars: vars}, nil
}

func (w *weights) close() { _ = w.file.Close() }

type index struct {
	in   *bufio.Reader
	file *os.File
	at   int64
	size int64
}

func (r *index) read(v any) error {
	r.at += int64(binary.Size(v))
	return binary.Read(r.in, binary.LittleEndian, v)
}

func (r *index) text() (string, error) {
	var n uint16
	if err := r.read(&n); err != nil {
		return "", err
	}
	if n == 0 || n > longestName {
		return "", fmt.Errorf("damaged: a name of %d bytes", n)
	}
	raw := make([]byte, n)
	if err := r.read(raw); err != nil {
		return "", err
	}
	return string(raw[:n-1]), nil // it ends with a zero
}

func (r *index) variables() (map[string]variable, error) {
	var version uint32
	if err := r.read(&version); err != nil {
		return nil, err
	}
	if version < 4 || version > 6 {
		return nil, fmt.Errorf("it says version %d, want 4 to 6 (not a CTranslate2 model, or a newer one)", version)
	}
	spec, err := r.text()
	if err != nil {
		return nil, err
	}
	if spec != "WhisperSpec" {
		return nil, fmt.Errorf("it is a %q, not a Whisper model", spec)
	}
	var head struct{ Revision, Count uint32 }
	if err := r.read(&head); err != nil {
		return nil, err
	}
	if head.Count == 0 || head.Count > mostVariables {
		return nil, fmt.Errorf("damaged: it says that it has %d variables", head.Count)
	}
	out := map[string]variable{}
	for range head.Count {
		name, v, err := r.variable()
		if err != nil {
			return nil, err
		}
		out[name] = v
	}
	return out, nil
}

func (r *index) variable() (string, variable, error) {
	var v variable
	name, err := r.text()
	if err != nil {
		return "", v, err
	}
	var rank uint8
	if err := r.read(&rank); err != nil {
		return "", v, err
	}
	if rank > 4 {
		return "", v, fmt.Errorf("damaged: %s has %d dimensions", name, rank)
	}
	n := int64(1)
	for range rank {
		var side uint32
		if err := r.read(&side); err != nil {
			return "", v, err
		}
		if n *= int64(side); n > mostNumbers || side > mostNumbers {
			return "", v, fmt.Errorf("damaged: %s is too large", name)
		}
		v.dims = append(v.dims, int(side))
	}
	var size uint32
	for _, field := range []any{&v.typ, &size} {
		if err := r.read(field); err != nil {
			return "", v, err
		}
	}
	width, ok := bytesOf[v.typ]
	if !ok || int64(size) != n*width {
		return "", v, fmt.Errorf("damaged: %s has %d bytes for %d numbers of type %d", name, size, n, v.typ)
	}
	v.at = r.at
	if r.at += int64(size); r.at > r.size {
		return "", v, io.ErrUnexpectedEOF
	}
	if int(size) <= r.in.Buffered() {
		_, err = r.in.Discard(int(size))
		return name, v, err
	}
	if _, err := r.file.Seek(r.at, io.SeekStart); err != nil {
		return "", v, err
	}
	r.in.Reset(r.file)
	return name, v, nil
}

// numbers reads a variable, which must have these dimensions. Rows of bytes are scaled by
// the variable that stands beside them.
func (w *weights) numbers(name string, dims ...int) ([]float32, error) {
	v, ok := w.vars[name]
	if !ok {
		return nil, fmt.Errorf("%w: %s is missing", ErrModel, name)
	}
	n := 1
	for i, side := range dims {
		if len(v.dims) != len(dims) || v.dims[i] != side {
			return nil, fmt.Errorf("%w: %s has the shape %v, want %v", ErrModel, name, v.dims, dims)
		}
		n *= side
	}
	raw := make([]byte, int64(n)*bytesOf[v.typ])
	if _, err := w.file.ReadAt(raw, v.at); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	out := make([]float32, n)
	little := binary.LittleEndian
	switch v.typ {
	case typeF32:
		for i := range out {
			out[i] = math.Float32frombits(little.Uint32(raw[4*i:]))
		}
	case typeF16:
		for i := range out {
			out[i] = float16.Frombits(little.Uint16(raw[2*i:])).Float32()
		}
	case typeBF16:
		for i := range out {
			out[i] = math.Float32frombits(uint32(little.Uint16(raw[2*i:])) << 16)
		}
	case typeI8:
		scales, err := w.numbers(name+"_scale", dims[0])
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i] = float32(int8(raw[i])) / scales[i*dims[0]/n]
		}
	default:
		return nil, fmt.Errorf("%w: %s is stored as type %d; convert the model with compute type float16", ErrModel, name, v.typ)
	}
	return out, nil
}

// scalar reads a variable of one whole number; fallback where there is none.
func (w *weights) scalar(name string, fallback int) int {
	v, ok := w.vars[name]
	if !ok || len(v.dims) != 0 {
		return fallback
	}
	raw := make([]byte, 4)
	if _, err := w.file.ReadAt(raw[:bytesOf[v.typ]], v.at); err != nil {
		return fallback
	}
	switch v.typ {
	case typeI8:
		return int(int8(raw[0]))
	case typeI16:
		return int(int16(binary.LittleEndian.Uint16(raw)))
	case typeI32:
		return int(int32(binary.LittleEndian.Uint32(raw)))
	}
	return fallback
}
