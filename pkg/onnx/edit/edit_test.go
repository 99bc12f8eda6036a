package edit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/onnx/edit"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const weight = "model.decoder.embed_tokens.weight_"

// field makes a length-delimited field out of parts that follow one another.
func field(number protowire.Number, parts ...[]byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), bytes.Join(parts, nil))
}

func text(number protowire.Number, s string) []byte { return field(number, []byte(s)) }

func integer(number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), v)
}

// node makes a node out of "name Operator input… > output…".
func node(s string) []byte {
	left, right, _ := strings.Cut(s, " > ")
	words := strings.Fields(left)
	var parts [][]byte
	for _, in := range words[2:] {
		parts = append(parts, text(1, in))
	}
	for _, out := range strings.Fields(right) {
		parts = append(parts, text(2, out))
	}
	return field(1, append(parts, text(3, words[0]), text(4, words[1]))...)
}

// branches of a decoder with one layer.
var (
	projection = []string{
		"t Transpose " + weight + "merged_0_quantized > " + weight + "transposed_quantized",
		"n Norm x > normed",
		"d DequantizeLinear " + weight + "transposed_quantized scale zero > " + weight + "transposed",
		"/proj_out/MatMul MatMul normed " + weight + "transposed > logits",
	}
	attention = []string{
		"kt Transpose past_key_values.0.encoder.key > kt",
		"ks Mul kt s > ks",
		"q Mul q0 s > q",
		"qk MatMul q ks > scores",
	}
	// cross is what the first pass makes of audio.
	cross = []string{
		"k Transpose r > present.0.encoder.key",
		"kt Transpose r > turned",
		"v Transpose s > present.0.encoder.value",
	}
	first = slices.Concat(cross, projection)
)

// model makes a decoder; what[i] are the nodes of a branch.
func model(what ...[]string) []byte {
	attributes := [][]byte{text(4, "If")}
	for _, nodes := range what {
		graph := [][]byte{}
		for _, n := range nodes {
			graph = append(graph, node(n))
		}
		graph = append(graph, text(2, "branch"), text(200, "unknown in the branch"))
		attributes = append(attributes, field(5, text(1, "a_branch"), field(6, graph...), integer(20, 5)))
	}
	embedding := field(5, integer(1, 2), integer(1, 3), integer(2, 2), text(8, weight+"merged_0_quantized"), text(9, "abcdef"))
	return slices.Concat(integer(1, 10), field(7, field(1, attributes...), text(2, "main"), embedding, text(201, "unknown in the graph")), text(300, "unknown"))
}

func TestMoonshineDecoder(t *testing.T) {
	in := model(slices.Concat(attention, projection), first)
	got, err := edit.MoonshineDecoder(in)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string][]byte{
		"weights":      field(5, integer(1, 3), integer(1, 2), integer(2, 2), text(8, weight+"transposed_uint8"), text(9, "adbecf")),
		"embedding":    text(9, "abcdef"),
		"unknown":      text(300, "unknown"),
		"in the graph": text(201, "unknown in the graph"),
		"in a branch":  text(200, "unknown in the branch"),
		"keys":         slices.Concat(node("ks Mul q s > ks"), node("qk MatMul ks kt > scores")),
		"nodes kept":   node("n Norm x > normed"),
		"past keys":    text(4, "Concat"),
		"keys turned":  slices.Concat(text(1, "present.0.encoder.key"), text(2, "turned")),
		"new values":   node("v Transpose s > fresh.0.encoder.value")[2:],
		"rows":         slices.Concat(text(1, "normed"), text(1, "logits.from")),
	} {
		if !bytes.Contains(got, want) {
			t.Errorf("%s: %q is not in the outcome", what, want)
		}
	}
	if n := bytes.Count(got, text(4, "MatMulInteger")); n != 2 {
		t.Errorf("%d integer products, want one in each branch", n)
	}
	if bytes.Contains(got, text(4, "DequantizeLinear")) || bytes.Contains(got, []byte(weight+"transposed_quantized")) {
		t.Error("the embedding is still dequantised")
	}
	again, err := edit.MoonshineDecoder(in)
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("the second outcome differs, %v", err)
	}
	if _, err := edit.MoonshineDecoder(got); err == nil {
		t.Error("an edited model was edited again")
	}
}

func TestMoonshineDecoderRefuses(t *testing.T) {
	whole := slices.Concat(attention, projection)
	other := func(old, new string) [][]string {
		changed := slices.Clone(whole)
		for i, n := range changed {
			changed[i] = strings.ReplaceAll(n, old, new)
		}
		return [][]string{changed, first}
	}
	for name, tt := range map[string]struct {
		branches [][]string
		want     string
	}{
		"no branch":           {nil, "0 branches"},
		"one branch":          {[][]string{whole}, "1 branches"},
		"no caches":           {[][]string{projection, projection}, "0 layers"},
		"no audio":            {[][]string{whole, projection}, "makes 0 keys"},
		"keys not turned":     {[][]string{whole, slices.Concat(cross[:1], projection)}, "turns 0 keys"},
		"no projection":       {[][]string{attention, projection}, "not where it was"},
		"other projection":    {other("normed "+weight, weight), "/proj_out/MatMul takes"},
		"other reader":        {other("n Norm x", "n Norm "+weight+"transposed"), "also read by n"},
		"keys scaled twice":   {other("q Mul q0 s", "q Mul kt s"), "kt is read by"},
		"keys not scaled":     {other("ks Mul", "ks Div"), "kt is read by ks, want one Mul"},
		"keys on the left":    {other("qk MatMul q ks", "qk MatMul ks q"), "has it as input 1"},
		"keys that none read": {other("qk MatMul q ks", "qk MatMul q k"), "ks is read by no node"},
	} {
		if _, err := edit.MoonshineDecoder(model(tt.branches...)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	if _, err := edit.MoonshineDecoder(nil); err == nil || !strings.Contains(err.Error(), "0 graphs") {
		t.Errorf("nothing: %v", err)
	}
	decoder := model(whole, first)
	for _, n := range []int{1, len(decoder) / 2, len(decoder) - 1} {
		if _, err := edit.MoonshineDecoder(decoder[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(decoder))
		}
	}
}

func FuzzMoonshineDecoder(f *testing.F) {
	f.Add(model(slices.Concat(attention, projection), first))
	f.Add(model(attention))
	f.Fuzz(func(_ *testing.T, in []byte) {
		// Whatever it is: an outcome or an error.
		_, _ = edit.MoonshineDecoder(in)
	})
}
