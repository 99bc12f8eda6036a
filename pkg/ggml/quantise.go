package ggml

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"github.com/x448/float16"
)

// Quantiser stores rows of numbers in a quantised type (ggml's enum ggml_type).
type Quantiser func(typ int32, values []float32, columns int) ([]byte, error)

// Quantise writes the model at in, whose weights are of 16 or 32 bits, to out with its
// matrices as dtype. What stays as it is follows whisper.cpp's own tool: convolutions,
// positions, and everything of one dimension. Memory is that of the largest tensor.
func Quantise(ctx context.Context, in, out, dtype string, quantise Quantiser) error {
	model, err := Check(in)
	if err != nil {
		return err
	}
	if d := model.Header.Dtype(); d != "f16" && d != "f32" {
		return fmt.Errorf("%s is %s already: quantise from f16", in, d)
	}
	h := model.Header
	file, typ, ok := quantised(dtype)
	if !ok {
		return fmt.Errorf("cannot quantise to %q: want q8_0, q5_1, q5_0, q4_1 or q4_0", dtype)
	}
	h.FileType = file + 2*quantVersion
	f, err := os.Open(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", in, err)
	}
	defer func() { _ = f.Close() }()
	r := newReader(f, model.Size)
	filters, vocabulary, err := r.prelude()
	if err != nil {
		return fmt.Errorf("reading %s: %w", in, err)
	}
	w, err := Create(out, h, filters, vocabulary)
	if err != nil {
		return err
	}
	for r.at < r.size && w.err == nil {
		if err := ctx.Err(); err != nil {
			w.Abort()
			return err
		}
		if err := r.quantise(w, typ, quantise); err != nil {
			w.Abort()
			return fmt.Errorf("quantising %s: %w", in, err)
		}
	}
	return w.Close()
}

// Quantisable says whether Quantise knows a dtype.
func Quantisable(dtype string) bool {
	_, _, ok := quantised(dtype)
	return ok
}

// quantised returns the numbers by which a header and a tensor name a dtype.
func quantised(dtype string) (file, typ int32, ok bool) {
	for file, t := range fileTypes {
		if t.name == dtype && types[t.typ].block > 1 && t.typ < 10 { // the K types want rows that small models do not have
			return file, t.typ, true
		}
	}
	return 0, 0, false
}

// prelude reads what comes before the tensors of a file that Check has passed.
func (r *reader) prelude() (filters []float32, vocabulary [][]byte, err error) {
	var start struct {
		Magic uint32
		H     Header
		Shape [2]int32
	}
	if err := r.read(&start, "the header"); err != nil {
		return nil, nil, err
	}
	filters = make([]float32, int(start.H.Mels)*melBins)
	var n int32
	for _, part := range []any{filters, &n} {
		if err := r.read(part, "the filters"); err != nil {
			return nil, nil, err
		}
	}
	for range n {
		var length uint32
		if err := r.read(&length, "the vocabulary"); err != nil {
			return nil, nil, err
		}
		entry := make([]byte, length)
		if err := r.read(entry, "the vocabulary"); err != nil {
			return nil, nil, err
		}
		vocabulary = append(vocabulary, entry)
	}
	return filters, vocabulary, nil
}

// quantise copies the next tensor to w.
func (r *reader) quantise(w *Writer, typ int32, quantise Quantiser) error {
	t, err := r.head(0)
	if err != nil {
		return err
	}
	n := int64(1)
	for _, side := range t.sides {
		n *= int64(side)
	}
	raw := make([]byte, n*types[t.typ].bytes)
	if err := r.read(raw, "tensor "+t.name); err != nil {
		return err
	}
	if len(t.sides) != 2 || strings.HasPrefix(t.name, "encoder.conv") || strings.HasSuffix(t.name, "positional_embedding") {
		w.head(t.name, t.typ, t.sides)
		w.put(raw)
		return nil
	}
	values := make([]float32, n)
	if t.typ == typeF16 {
		for i := range values {
			values[i] = float16.Frombits(binary.LittleEndian.Uint16(raw[2*i:])).Float32()
		}
	} else if _, err := binary.Decode(raw, binary.LittleEndian, values); err != nil {
		return err
	}
	data, err := quantise(typ, values, int(t.sides[0]))
	if err != nil {
		return fmt.Errorf("tensor %s: %w", t.name, err)
	}
	w.head(t.name, typ, t.sides)
	w.put(data)
	return nil
}
