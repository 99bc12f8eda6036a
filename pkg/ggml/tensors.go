package ggml

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// storage is how a tensor's numbers are laid out: bytes for each block of numbers.
type storage struct {
	name         string
	block, bytes int64
}

// Numbers of ggml's enum ggml_type.
const (
	typeF32 int32 = 0
	typeF16 int32 = 1
)

var types = map[int32]storage{
	typeF32: {"f32", 1, 4}, typeF16: {"f16", 1, 2},
	2: {"q4_0", 32, 18}, 3: {"q4_1", 32, 20}, 6: {"q5_0", 32, 22}, 7: {"q5_1", 32, 24}, 8: {"q8_0", 32, 34},
	10: {"q2_K", 256, 84}, 11: {"q3_K", 256, 110}, 12: {"q4_K", 256, 144}, 13: {"q5_K", 256, 176}, 14: {"q6_K", 256, 210},
}

// fileTypes maps ggml's enum ggml_ftype to the type of most weights.
var fileTypes = map[int32]struct {
	name string
	typ  int32
}{
	0: {"f32", typeF32}, 1: {"f16", typeF16}, 2: {"q4_0", 2}, 3: {"q4_1", 3}, 7: {"q8_0", 8}, 8: {"q5_0", 6}, 9: {"q5_1", 7},
	10: {"q2_K", 10}, 11: {"q3_K", 11}, 12: {"q4_K", 12}, 13: {"q5_K", 13}, 14: {"q6_K", 14},
}

// tensor is what the loader expects under a name.
type tensor struct {
	dims [4]int64 // innermost first; 1 where there is no such dimension
	typ  int32
}

// tensorHead is what the file says before a tensor's numbers.
type tensorHead struct {
	name  string
	typ   int32
	sides []int32 // innermost first
}

// head reads the head of the file's nth tensor.
func (r *reader) head(n int) (tensorHead, error) {
	var head struct{ Dims, Name, Type int32 }
	if err := r.read(&head, fmt.Sprintf("the head of tensor %d", n)); err != nil {
		return tensorHead{}, err
	}
	if head.Dims < 1 || head.Dims > 4 || head.Name < 1 || head.Name > longestName {
		return tensorHead{}, fmt.Errorf("the head of tensor %d is damaged: %d dimensions, a name of %d bytes", n, head.Dims, head.Name)
	}
	sides := make([]int32, head.Dims)
	if err := r.read(&sides, "a tensor's shape"); err != nil {
		return tensorHead{}, err
	}
	name := make([]byte, head.Name)
	if err := r.read(&name, "a tensor's name"); err != nil {
		return tensorHead{}, err
	}
	return tensorHead{name: string(name), typ: head.Type, sides: sides}, nil
}

// tensors compares the file's tensors with what the header calls for.
func (r *reader) tensors(m *Model) error {
	missing := expected(m.Header)
	for r.at < r.size {
		t, err := r.head(m.Tensors)
		if err != nil {
			return err
		}
		name, sides := t.name, t.sides
		want, ok := missing[name]
		if !ok {
			return fmt.Errorf("tensor %q does not belong to such a model, or comes twice", name)
		}
		delete(missing, name)
		n := int64(1)
		for i, side := range want.dims {
			got := int64(1)
			if i < len(sides) {
				got = int64(sides[i])
			}
			if got != side {
				return fmt.Errorf("tensor %s has the shape %v, want %v", name, sides, want.dims)
			}
			n *= side
		}
		if t.typ != want.typ {
			return fmt.Errorf("tensor %s is of type %d, want %s", name, t.typ, types[want.typ].name)
		}
		s := types[t.typ]
		if want.dims[0]%s.block != 0 {
			return fmt.Errorf("tensor %s: rows of %d numbers cannot be stored as %s", name, want.dims[0], s.name)
		}
		if err := r.skip(n/s.block*s.bytes, "tensor "+name); err != nil {
			return err
		}
		m.Tensors++
	}
	if len(missing) > 0 {
		first := slices.Sorted(maps.Keys(missing))[0]
		return fmt.Errorf("truncated: it ends after %d bytes with %d tensors missing, %s among them", r.size, len(missing), first)
	}
	if m.Tensors == 0 {
		return errors.New("it holds no weights")
	}
	return nil
}

// expected lists the tensors of a model, as whisper.cpp's loader does.
func expected(h Header) map[string]tensor {
	state := int64(h.AudioState)
	weight := fileTypes[h.FileType%quantVersion].typ
	filter := typeF16 // convolutions are never quantised
	if weight == typeF32 {
		filter = typeF32
	}
	out := map[string]tensor{}
	add := func(name string, typ int32, sides ...int64) {
		t := tensor{dims: [4]int64{1, 1, 1, 1}, typ: typ}
		copy(t.dims[:], sides)
		out[name] = t
	}
	norm := func(name string) {
		add(name+".weight", typeF32, state)
		add(name+".bias", typeF32, state)
	}
	linear := func(name string, in, out int64, bias bool) {
		add(name+".weight", weight, in, out)
		if bias {
			add(name+".bias", typeF32, out)
		}
	}
	attention := func(name string) {
		norm(name + "_ln")
		linear(name+".query", state, state, true)
		linear(name+".key", state, state, false)
		linear(name+".value", state, state, true)
		linear(name+".out", state, state, true)
	}
	layers := func(side string, n int32, cross bool) {
		for i := range n {
			block := fmt.Sprintf("%s.blocks.%d.", side, i)
			attention(block + "attn")
			if cross {
				attention(block + "cross_attn")
			}
			norm(block + "mlp_ln")
			linear(block+"mlp.0", state, 4*state, true)
			linear(block+"mlp.2", 4*state, state, true)
		}
	}
	add("encoder.positional_embedding", typeF32, state, int64(h.AudioCtx))
	add("encoder.conv1.weight", filter, 3, int64(h.Mels), state)
	add("encoder.conv1.bias", typeF32, 1, state)
	add("encoder.conv2.weight", filter, 3, state, state)
	add("encoder.conv2.bias", typeF32, 1, state)
	norm("encoder.ln_post")
	layers("encoder", h.AudioLayers, false)
	add("decoder.positional_embedding", typeF32, state, int64(h.TextCtx))
	add("decoder.token_embedding.weight", weight, state, int64(h.Vocabulary))
	norm("decoder.ln")
	layers("decoder", h.TextLayers, true)
	return out
}
