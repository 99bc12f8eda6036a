package edit_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/onnx/edit"
)

var encoder = []string{
	"/Range Range zero frames one > positions",
	"/layers.0/self_attn/Transpose_3 Transpose rotated > turned",
	"/layers.0/self_attn/MatMul Mul q turned > scores",
	"/layers.0/self_attn/MatMul_1 MatMul weights v > attended",
}

// graph makes a model of nodes alone.
func graph(nodes []string) []byte {
	var parts [][]byte
	for _, n := range nodes {
		parts = append(parts, node(n))
	}
	return slices.Concat(integer(1, 10), field(7, append(parts, text(2, "main"), text(201, "unknown in the graph"))...), text(300, "unknown"))
}

func TestMoonshineEncoder(t *testing.T) {
	got, err := edit.MoonshineEncoder(graph(encoder))
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string][]byte{
		"unknown":      text(300, "unknown"),
		"in the graph": text(201, "unknown in the graph"),
		"keys":         slices.Concat(text(1, "past.0.key.kept"), text(1, "rotated"), text(2, "present.0.key")),
		"readers":      slices.Concat(text(1, "present.0.key"), text(2, "turned")),
		"values":       slices.Concat(text(1, "weights"), text(1, "present.0.value"), text(2, "attended")),
		"positions":    slices.Concat(text(1, "position"), text(1, "position.end"), text(1, "one"), text(2, "positions")),
		"kept":         slices.Concat(text(1, "past.0.value"), text(1, "past.from"), text(1, "past.to"), text(1, "past.axis"), text(2, "past.0.value.kept")),
	} {
		if !bytes.Contains(got, want) {
			t.Errorf("%s: %q is not in the outcome", what, want)
		}
	}
	again, err := edit.MoonshineEncoder(graph(encoder))
	if err != nil || !bytes.Equal(got, again) {
		t.Errorf("the second outcome differs, %v", err)
	}
}

func TestMoonshineEncoderRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		nodes []string
		want  string
	}{
		"nothing":      {nil, "0 layers with keys"},
		"no positions": {encoder[1:], "0 rows of positions"},
		"no values":    {encoder[:3], "1 layers with keys, 0 with values"},
		"other keys":   {slices.Concat(encoder[:1], []string{"/layers.0/self_attn/Transpose_3 Transpose a b > c"}), "takes [a b]"},
		"other values": {[]string{"/layers.0/self_attn/MatMul_1 MatMul a > c"}, "takes [a]"},
		"other range":  {[]string{"/Range Range a b > c"}, "takes [a b]"},
	} {
		if _, err := edit.MoonshineEncoder(graph(tt.nodes)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
	}
	whole := graph(encoder)
	for _, n := range []int{1, len(whole) / 2, len(whole) - 1} {
		if _, err := edit.MoonshineEncoder(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken", n, len(whole))
		}
	}
}

func FuzzMoonshineEncoder(f *testing.F) {
	f.Add(graph(encoder))
	f.Fuzz(func(_ *testing.T, in []byte) {
		// Whatever it is: an outcome or an error.
		_, _ = edit.MoonshineEncoder(in)
	})
}
