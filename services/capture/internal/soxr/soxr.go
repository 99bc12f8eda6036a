// Package soxr resamples mono audio with libsoxr, the SoX resampler: a linear-phase
// low-pass filter of high quality, so that nothing above half the new rate folds back.
package soxr

// #cgo pkg-config: soxr
// #include <soxr.h>
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Resampler converts one stream. For one goroutine at a time.
type Resampler struct {
	handle C.soxr_t
	ratio  float64
}

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the resampler is closed")

// New converts from one rate to another, in samples per second.
func New(from, to int) (*Resampler, error) {
	var cerr C.soxr_error_t
	io := C.soxr_io_spec(C.SOXR_FLOAT32_I, C.SOXR_FLOAT32_I)
	quality := C.soxr_quality_spec(C.SOXR_HQ, 0)
	threads := C.soxr_runtime_spec(1)
	// The smallest blocks: with the library's own, audio is held back for up to 120 ms at
	// 8 kHz and 50 ms at 48 kHz, with these for up to 50 and 20, at the same cost.
	threads.log2_min_dft_size, threads.log2_large_dft_size = 8, 8
	h := C.soxr_create(C.double(from), C.double(to), 1, &cerr, &io, &quality, &threads)
	if cerr != nil {
		return nil, fmt.Errorf("resampling from %d to %d Hz: %s", from, to, C.GoString(cerr))
	}
	return &Resampler{handle: h, ratio: float64(to) / float64(from)}, nil
}

// Push takes samples and returns those that are ready. A nil slice flushes the end.
func (r *Resampler) Push(in []float32) ([]float32, error) {
	if r.handle == nil {
		return nil, ErrClosed
	}
	var all []float32
	out := make([]float32, int(float64(len(in))*r.ratio)+4096)
	for {
		var used, done C.size_t
		var from C.soxr_in_t
		if len(in) > 0 {
			from = C.soxr_in_t(unsafe.Pointer(&in[0]))
		}
		if cerr := C.soxr_process(r.handle, from, C.size_t(len(in)), &used, C.soxr_out_t(unsafe.Pointer(&out[0])), C.size_t(len(out)), &done); cerr != nil {
			return nil, fmt.Errorf("resampling: %s", C.GoString(cerr))
		}
		all = append(all, out[:done]...)
		flushing := len(in) == 0 && from == nil
		in = in[used:]
		if (flushing && done == 0) || (!flushing && len(in) == 0) {
			return all, nil
		}
	}
}

// Close frees the resampler.
func (r *Resampler) Close() {
	C.soxr_delete(r.handle)
	r.handle = nil
}
