// Package ctranslate2test writes small folders as CTranslate2's converter does, for tests.
package ctranslate2test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The measures of the model: one layer on each side, English only.
const (
	State, Mels, Vocabulary, AudioCtx, TextCtx = 64, 80, 51864, 16, 16
)

// Variable is one entry of a model.bin. All numbers of row r are r, so that a test sees
// which rows went where.
type Variable struct {
	Name string
	Dims []int
	Int8 bool // stored as bytes with a scale for each row
}

// Variables are those of a whole model.
func Variables() []Variable {
	s := State
	out := []Variable{
		{"encoder/position_encodings/encodings", []int{AudioCtx, s}, false},
		{"encoder/conv1/weight", []int{s, Mels, 3}, false}, {"encoder/conv1/bias", []int{s}, false},
		{"encoder/conv2/weight", []int{s, s, 3}, false}, {"encoder/conv2/bias", []int{s}, false},
		{"encoder/layer_norm/gamma", []int{s}, false}, {"encoder/layer_norm/beta", []int{s}, false},
		{"decoder/position_encodings/encodings", []int{TextCtx, s}, false},
		{"decoder/embeddings/weight", []int{Vocabulary, s}, false},
		{"decoder/layer_norm/gamma", []int{s}, false}, {"decoder/layer_norm/beta", []int{s}, false},
	}
	linear := func(name string, rows, columns int) {
		out = append(out, Variable{name + "/weight", []int{rows, columns}, false}, Variable{name + "/bias", []int{rows}, false})
	}
	norm := func(name string) {
		out = append(out, Variable{name + "/gamma", []int{s}, false}, Variable{name + "/beta", []int{s}, false})
	}
	for _, side := range []string{"encoder/layer_0", "decoder/layer_0"} {
		norm(side + "/self_attention/layer_norm")
		linear(side+"/self_attention/linear_0", 3*s, s)
		linear(side+"/self_attention/linear_1", s, s)
		norm(side + "/ffn/layer_norm")
		linear(side+"/ffn/linear_0", 4*s, s)
		linear(side+"/ffn/linear_1", s, 4*s)
	}
	norm("decoder/layer_0/attention/layer_norm")
	linear("decoder/layer_0/attention/linear_0", s, s)
	linear("decoder/layer_0/attention/linear_1", 2*s, s)
	linear("decoder/layer_0/attention/linear_2", s, s)
	return out
}

// Model writes a model.bin of the given variables.
func Model(spec string, variables []Variable) []byte {
	little := binary.LittleEndian
	text := func(out []byte, s string) []byte {
		return append(append(little.AppendUint16(out, uint16(len(s)+1)), s...), 0)
	}
	out := text(little.AppendUint32(nil, 6), spec)
	out = little.AppendUint32(out, 3)
	count := len(variables)
	for _, v := range variables {
		if v.Int8 {
			count++
		}
	}
	out = little.AppendUint32(out, uint32(count))
	head := func(name string, dims []int, typ byte, size int) {
		out = append(text(out, name), byte(len(dims)))
		for _, d := range dims {
			out = little.AppendUint32(out, uint32(d))
		}
		out = little.AppendUint32(append(out, typ), uint32(size))
	}
	for _, v := range variables {
		n := 1
		for _, d := range v.Dims {
			n *= d
		}
		if v.Int8 {
			head(v.Name, v.Dims, 1, n)
			for i := range n {
				out = append(out, byte(i*v.Dims[0]/n%100))
			}
			head(v.Name+"_scale", v.Dims[:1], 0, 4*v.Dims[0])
			for range v.Dims[0] {
				out = little.AppendUint32(out, math.Float32bits(1))
			}
			continue
		}
		head(v.Name, v.Dims, 0, 4*n)
		for i := range n {
			out = little.AppendUint32(out, math.Float32bits(float32(i*v.Dims[0]/n)))
		}
	}
	return out
}

// Folder writes a whole model and its vocabulary, and returns the folder.
func Folder(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	words := make([]string, Vocabulary)
	for i := range words {
		words[i] = fmt.Sprint("w", i)
	}
	words[0], words[1] = "Ġthe", "Ã©" // " the" and "é" as bytes
	raw, err := json.Marshal(words)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, dir, "vocabulary.json", raw)
	Write(t, dir, "model.bin", Model("WhisperSpec", Variables()))
	return dir
}

// Write puts a file into a folder.
func Write(t testing.TB, dir, name string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
