//go:build !nowhisper

package whispercpp

/*
#include <ggml.h>
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Quantise stores rows of numbers as one of ggml's quantised types; it is a
// ggml.Quantiser with the library's own code.
func Quantise(typ int32, values []float32, columns int) ([]byte, error) {
	t := C.enum_ggml_type(typ)
	if len(values) == 0 || columns <= 0 || len(values)%columns != 0 || columns%int(C.ggml_blck_size(t)) != 0 {
		return nil, fmt.Errorf("rows of %d numbers cannot be stored as %s", columns, C.GoString(C.ggml_type_name(t)))
	}
	rows := len(values) / columns
	out := make([]byte, rows*int(C.ggml_row_size(t, C.int64_t(columns))))
	n := C.ggml_quantize_chunk(t, (*C.float)(unsafe.Pointer(&values[0])), unsafe.Pointer(&out[0]), 0, C.int64_t(rows), C.int64_t(columns), nil)
	if int(n) != len(out) {
		return nil, fmt.Errorf("the library wrote %d of %d bytes", n, len(out))
	}
	return out, nil
}
