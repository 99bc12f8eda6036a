//go:build !nowhisper

package whispercpp

/*
#include <ggml-backend.h>
#include <whisper.h>
*/
import "C"

import (
	"runtime"
	"slices"
	"strings"

	whisper "github.com/ggerganov/whisper.cpp/bindings/go"
	"golang.org/x/sys/cpu"
)

// Version is that of the library.
func Version() string { return C.GoString(C.whisper_version()) }

// Features lists the CPU features that the library was built to use, for example AVX2.
func Features() []string {
	var out []string
	for part := range strings.SplitSeq(whisper.Whisper_print_system_info(), "|") {
		name, value, ok := strings.Cut(part, "=")
		if i := strings.LastIndex(name, ":"); i >= 0 {
			name = name[i+1:]
		}
		if ok && strings.TrimSpace(value) == "1" {
			out = append(out, strings.TrimSpace(name))
		}
	}
	return out
}

// Missing lists those of Features that this CPU lacks; the first inference would end the
// process with an illegal instruction.
func Missing() []string {
	if runtime.GOARCH != "amd64" {
		return nil
	}
	x := cpu.X86
	has := map[string]bool{
		"SSE3": x.HasSSE3, "SSSE3": x.HasSSSE3, "AVX": x.HasAVX, "AVX2": x.HasAVX2, "FMA": x.HasFMA, "BMI2": x.HasBMI2,
		"AVX512": x.HasAVX512F, "AVX512_VBMI": x.HasAVX512VBMI, "AVX512_VNNI": x.HasAVX512VNNI, "AVX512_BF16": x.HasAVX512BF16,
		// Every CPU with AVX2 has it; the flag itself is not asked for by the library used here.
		"F16C": x.HasAVX2,
	}
	return slices.DeleteFunc(Features(), func(name string) bool {
		here, known := has[name]
		return here || !known
	})
}

// GPU names the graphics device that models will run on; "" for the CPU.
func GPU() string {
	for i := range C.ggml_backend_dev_count() {
		dev := C.ggml_backend_dev_get(i)
		if t := C.ggml_backend_dev_type(dev); t == C.GGML_BACKEND_DEVICE_TYPE_GPU || t == C.GGML_BACKEND_DEVICE_TYPE_IGPU {
			return C.GoString(C.ggml_backend_dev_description(dev))
		}
	}
	return ""
}
