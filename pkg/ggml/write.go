package ggml

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/x448/float16"
)

// FileTypeF16 is the header's FileType of a model with weights of 16 bits.
const FileTypeF16 = 1

// Writer makes a model file. The first error stands; Close tells it.
type Writer struct {
	path string
	file *os.File
	out  *bufio.Writer
	err  error
}

// Create begins a model at path with what comes before the tensors: filters are h.Mels
// rows of 201 numbers, vocabulary the entries as bytes. The file takes its place in Close.
func Create(path string, h Header, filters []float32, vocabulary [][]byte) (*Writer, error) {
	if len(filters) != int(h.Mels)*melBins {
		return nil, fmt.Errorf("writing %s: %d numbers of mel filters, want %d × %d", path, len(filters), h.Mels, melBins)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", path, err)
	}
	w := &Writer{path: path, file: f, out: bufio.NewWriterSize(f, 1<<20)}
	w.put(uint32(magic))
	w.put(h)
	w.put([2]int32{h.Mels, melBins})
	w.put(filters)
	w.put(int32(len(vocabulary)))
	for _, entry := range vocabulary {
		w.put(uint32(len(entry)))
		w.put(entry)
	}
	return w, nil
}

func (w *Writer) put(v any) {
	if w.err == nil {
		w.err = binary.Write(w.out, binary.LittleEndian, v)
	}
}

// head writes what comes before a tensor's numbers; dims are innermost first.
func (w *Writer) head(name string, typ int32, dims []int32) {
	w.put([3]int32{int32(len(dims)), int32(len(name)), typ})
	w.put(dims)
	w.put([]byte(name))
}

// Tensor appends a tensor, in 16 bits where Check expects them; dims are innermost first.
func (w *Writer) Tensor(name string, dims []int32, values []float32, half bool) {
	if !half {
		w.head(name, typeF32, dims)
		w.put(values)
		return
	}
	w.head(name, typeF16, dims)
	bits := make([]uint16, len(values))
	for i, x := range values {
		bits[i] = float16.Fromfloat32(x).Bits()
	}
	w.put(bits)
}

// Close finishes the file, checks it and puts it in place, or removes it.
func (w *Writer) Close() error {
	err := w.err
	if err == nil {
		err = w.out.Flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if e := w.file.Close(); err == nil {
		err = e
	}
	if err == nil {
		_, err = Check(w.file.Name())
	}
	if err == nil {
		err = os.Chmod(w.file.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(w.file.Name(), w.path)
	}
	if err != nil {
		_ = os.Remove(w.file.Name())
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	return nil
}

// Abort removes what was written.
func (w *Writer) Abort() {
	_ = w.file.Close()
	_ = os.Remove(w.file.Name())
}

// MelFilters returns the filter bank that Whisper was trained with, as a file holds it:
// librosa's (Slaney's scale and norm) for 16 kHz and windows of 400 samples.
func MelFilters(mels int) []float32 {
	const step, logFrom, logStep = 200.0 / 3, 1000.0, 0.06875177742094912 // ln 6.4 / 27
	toHz := func(mel float64) float64 {
		if mel < logFrom/step {
			return mel * step
		}
		return logFrom * math.Exp(logStep*(mel-logFrom/step))
	}
	top := logFrom/step + math.Log(8000/logFrom)/logStep
	edges := make([]float64, mels+2)
	for i := range edges {
		edges[i] = toHz(top * float64(i) / float64(mels+1))
	}
	out := make([]float32, 0, mels*melBins)
	for i := range mels {
		norm := 2 / (edges[i+2] - edges[i])
		for b := range melBins {
			hz := 8000 * float64(b) / (melBins - 1)
			up, down := (hz-edges[i])/(edges[i+1]-edges[i]), (edges[i+2]-hz)/(edges[i+2]-edges[i+1])
			out = append(out, float32(float64(float32(max(0, min(up, down))))*norm))
		}
	}
	return out
}
