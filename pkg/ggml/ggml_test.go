package ggml

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small is the smallest header that is allowed, of type q8_0.
var small = Header{
	Vocabulary: 51864, AudioCtx: 16, AudioState: 64, AudioHeads: 1, AudioLayers: 1,
	TextCtx: 16, TextState: 64, TextHeads: 1, TextLayers: 1, Mels: 80, FileType: 2*quantVersion + 7,
}

// build writes a model whose weights are all zero.
func build(t testing.TB, h Header) []byte {
	t.Helper()
	var out []byte
	put := func(values ...any) {
		for _, v := range values {
			var err error
			if out, err = binary.Append(out, binary.LittleEndian, v); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(uint32(magic), h, [2]int32{h.Mels, melBins}, make([]float32, h.Mels*melBins), int32(50256))
	for range 50256 {
		put(uint32(2), []byte("ab"))
	}
	for name, want := range expected(h) {
		n := want.dims[0] * want.dims[1] * want.dims[2] * want.dims[3]
		sides := []int32{}
		for _, d := range want.dims[:3] {
			sides = append(sides, int32(d))
		}
		s := types[want.typ]
		put(int32(len(sides)), int32(len(name)), want.typ, sides, []byte(name), make([]byte, n/s.block*s.bytes))
	}
	return out
}

func write(t testing.TB, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.bin")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWholeModel(t *testing.T) {
	for _, ftype := range []int32{0, 1, 2*quantVersion + 7, 2*quantVersion + 9} {
		h := small
		h.FileType = ftype
		raw := build(t, h)
		m, err := Check(write(t, raw))
		if err != nil {
			t.Errorf("ftype %d: %v", ftype, err)
			continue
		}
		if m.Header != h || m.Size != int64(len(raw)) || m.Tensors != len(expected(h)) {
			t.Errorf("ftype %d: %+v", ftype, m)
		}
	}
}

// TestTensorCount compares with the number that whisper.cpp's loader counts for the
// published tiny and base models.
func TestTensorCount(t *testing.T) {
	for layers, want := range map[int32]int{4: 167, 6: 245} {
		h := small
		h.AudioLayers, h.TextLayers = layers, layers
		if got := len(expected(h)); got != want {
			t.Errorf("%d layers: %d tensors, want %d", layers, got, want)
		}
	}
}

func TestCutAnywhere(t *testing.T) {
	raw := build(t, small)
	rng := rand.New(rand.NewPCG(1, 2))
	cuts := []int{0, 1, 4, 47, 48, 56, len(raw) - 1}
	for range 60 {
		cuts = append(cuts, rng.IntN(len(raw)))
	}
	for _, n := range cuts {
		path := write(t, raw[:n])
		if _, err := Check(path); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "truncated") || !strings.Contains(err.Error(), path) {
			t.Errorf("cut at %d of %d: %v", n, len(raw), err)
		}
	}
}

func TestFlippedHeader(t *testing.T) {
	raw := build(t, small)
	for at := range 48 {
		if at >= 44 && at < 48 {
			continue // the version of the quantised formats is not ours to judge
		}
		for _, mask := range []byte{0x80, 0xff} {
			bad := append([]byte(nil), raw...)
			bad[at] ^= mask
			if _, err := Check(write(t, bad)); !errors.Is(err, ErrModel) {
				t.Errorf("byte %d ^ %#x: %v", at, mask, err)
			}
		}
	}
}

func TestBadModels(t *testing.T) {
	raw := build(t, small)
	vocabulary := 48 + 8 + 4*80*melBins
	changed := func(at int, v uint32) []byte {
		out := append([]byte(nil), raw...)
		binary.LittleEndian.PutUint32(out[at:], v)
		return out
	}
	for name, tt := range map[string]struct {
		raw  []byte
		want string
	}{
		"another family":   {[]byte("GGUF\x03\x00\x00\x00"), "a GGUF, ONNX or other file?"},
		"unknown type":     {changed(44, 5), "ftype = 5, which is unknown"},
		"heads":            {changed(16, 7), "do not divide"},
		"unequal states":   {changed(28, 128), "must be equal"},
		"filters":          {changed(52, 257), "80 × 257, want 80 × 201"},
		"huge vocabulary":  {changed(vocabulary, 1<<30), "has 1073741824 entries"},
		"long word":        {changed(vocabulary+4, 1<<31), "2147483648 bytes long"},
		"other weights":    {changed(44, 1), "is of type 8, want f16"},
		"more behind":      {append(append([]byte(nil), raw...), make([]byte, 100)...), "is damaged"},
		"one tensor twice": {append(append([]byte(nil), raw...), raw[vocabulary+4+50256*6:]...), "comes twice"},
	} {
		if _, err := Check(write(t, tt.raw)); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Check(filepath.Join(t.TempDir(), "none.bin")); !errors.Is(err, ErrModel) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Check(t.TempDir()); !errors.Is(err, ErrModel) || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("folder: %v", err)
	}
}
