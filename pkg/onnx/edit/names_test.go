package edit_test

import (
	"slices"
	"testing"

	"github.com/rtap/rtap/pkg/onnx/edit"
	"google.golang.org/protobuf/encoding/protowire"
)

func TestNames(t *testing.T) {
	value := func(number protowire.Number, name string) []byte { return field(number, text(1, name)) }
	weights := field(5, text(8, "weights"), text(9, "raw"))
	model := func(parts ...[]byte) []byte { return slices.Concat(text(2, "exporter"), field(7, parts...)) }
	whole := model(value(11, "audio"), value(11, "weights"), weights, value(12, "text"), value(12, "score"))
	inputs, outputs, err := edit.Names(whole)
	if err != nil || !slices.Equal(inputs, []string{"audio"}) || !slices.Equal(outputs, []string{"text", "score"}) {
		t.Errorf("takes %v and gives %v, %v", inputs, outputs, err)
	}
	for name, broken := range map[string][]byte{
		"nothing":           nil,
		"cut short":         whole[:len(whole)-3],
		"a damaged graph":   text(7, "\xff\xff"),
		"a damaged input":   model(text(11, "\xff\xff"), value(12, "text")),
		"without an output": model(value(11, "audio")),
		"only weights":      model(value(11, "weights"), weights, value(12, "text")),
	} {
		if inputs, outputs, err := edit.Names(broken); err == nil {
			t.Errorf("%s: takes %v and gives %v", name, inputs, outputs)
		}
	}
}
