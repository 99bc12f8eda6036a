package ctranslate2_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/ctranslate2"
	"github.com/rtap/rtap/cmd/rtap/internal/ctranslate2/ctranslate2test"
	"github.com/rtap/rtap/pkg/ggml"
	"github.com/x448/float16"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// contents is a ggml file as whisper.cpp reads it.
type contents struct {
	vocabulary []string
	tensors    map[string][]float32
}

func read(t *testing.T, path string) contents {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	number := func() int {
		n := int(int32(binary.LittleEndian.Uint32(raw)))
		raw = raw[4:]
		return n
	}
	take := func(n int) []byte {
		out := raw[:n]
		raw = raw[n:]
		return out
	}
	c := contents{tensors: map[string][]float32{}}
	take(4 + 11*4)
	take(number() * number() * 4)
	for range number() {
		c.vocabulary = append(c.vocabulary, string(take(number())))
	}
	for len(raw) > 0 {
		dims, name, typ, n := number(), number(), number(), 1
		for range dims {
			n *= number()
		}
		key := string(take(name))
		for range n {
			if typ == 1 {
				c.tensors[key] = append(c.tensors[key], float16.Frombits(binary.LittleEndian.Uint16(take(2))).Float32())
			} else {
				var x float32
				if _, err := binary.Decode(take(4), binary.LittleEndian, &x); err != nil {
					t.Fatal(err)
				}
				c.tensors[key] = append(c.tensors[key], x)
			}
		}
	}
	return c
}

func TestConvert(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "out.bin")
	if err := ctranslate2.Convert(t.Context(), ctranslate2test.Folder(t), dest); err != nil {
		t.Fatal(err)
	}
	m, err := ggml.Check(dest)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Languages() > 1 || m.Header.Dtype() != "f16" || m.Header.TextHeads != 1 {
		t.Errorf("header %+v", m.Header)
	}
	c := read(t, dest)
	if c.vocabulary[0] != " the" || c.vocabulary[1] != "é" || len(c.vocabulary) != 50257 {
		t.Errorf("vocabulary %q… of %d", c.vocabulary[:2], len(c.vocabulary))
	}
	const s = ctranslate2test.State
	for name, first := range map[string]float32{
		"encoder.blocks.0.attn.query.weight": 0, "encoder.blocks.0.attn.key.weight": s, "encoder.blocks.0.attn.value.weight": 2 * s,
		"encoder.blocks.0.attn.value.bias": 2 * s, "decoder.blocks.0.cross_attn.key.weight": 0, "decoder.blocks.0.cross_attn.value.weight": s,
		"decoder.blocks.0.mlp.2.weight": 0,
	} {
		if got := c.tensors[name]; len(got) < s || got[0] != first {
			t.Errorf("%s begins with %v, want %v", name, got[:min(1, len(got))], first)
		}
	}
	if _, ok := c.tensors["decoder.blocks.0.attn.key.bias"]; ok {
		t.Error("keys have no bias")
	}
}

func TestBytesAreScaled(t *testing.T) {
	dir := ctranslate2test.Folder(t)
	all := ctranslate2test.Variables()
	for i, v := range all {
		all[i].Int8 = strings.HasSuffix(v.Name, "linear_0/weight")
	}
	ctranslate2test.Write(t, dir, "model.bin", ctranslate2test.Model("WhisperSpec", all))
	dest := filepath.Join(t.TempDir(), "out.bin")
	if err := ctranslate2.Convert(t.Context(), dir, dest); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dest).tensors["encoder.blocks.0.attn.key.weight"][0]; got != ctranslate2test.State {
		t.Errorf("the first key is %v", got)
	}
}

func TestBadFolders(t *testing.T) {
	whole := ctranslate2test.Model("WhisperSpec", ctranslate2test.Variables())
	for name, tt := range map[string]struct {
		spoil func(dir string)
		want  string
	}{
		"no model":    {func(dir string) { _ = os.Remove(filepath.Join(dir, "model.bin")) }, "no such file"},
		"empty model": {func(dir string) { ctranslate2test.Write(t, dir, "model.bin", nil) }, "truncated"},
		"another model": {func(dir string) {
			ctranslate2test.Write(t, dir, "model.bin", ctranslate2test.Model("TransformerSpec", nil))
		}, "not a Whisper model"},
		"a ggml file": {func(dir string) { ctranslate2test.Write(t, dir, "model.bin", []byte("lmgg0000")) }, "want 4 to 6"},
		"cut":         {func(dir string) { ctranslate2test.Write(t, dir, "model.bin", whole[:len(whole)/2]) }, "truncated"},
		"a tensor short": {func(dir string) {
			ctranslate2test.Write(t, dir, "model.bin", ctranslate2test.Model("WhisperSpec", ctranslate2test.Variables()[1:]))
		}, "not a usable"},
		"no vocabulary": {func(dir string) { _ = os.Remove(filepath.Join(dir, "vocabulary.json")) }, "none of vocabulary.json"},
		"short one":     {func(dir string) { ctranslate2test.Write(t, dir, "vocabulary.json", []byte(`["a"]`)) }, "it has 1 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := ctranslate2test.Folder(t)
			tt.spoil(dir)
			dest := filepath.Join(t.TempDir(), "out.bin")
			err := ctranslate2.Convert(t.Context(), dir, dest)
			if !errors.Is(err, ctranslate2.ErrModel) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if left, _ := os.ReadDir(filepath.Dir(dest)); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
