package edit

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Names returns what a model takes and gives, in its order. ONNX Runtime would load the whole model to tell.
func Names(model []byte) (inputs, outputs []string, err error) {
	m, err := parse(model)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the model: %w", err)
	}
	var weights []string // older exporters list them among the inputs
	for _, g := range m {
		if g.number != modelGraph {
			continue
		}
		graph, err := parse(g.content)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the model's graph: %w", err)
		}
		for _, f := range graph {
			names := map[protowire.Number]*[]string{graphInput: &inputs, graphOutput: &outputs, graphInitializer: &weights}[f.number]
			if names == nil {
				continue
			}
			v, err := parse(f.content)
			if err != nil {
				return nil, nil, fmt.Errorf("reading the model's graph: %w", err)
			}
			field := protowire.Number(valueName)
			if f.number == graphInitializer {
				field = tensorName
			}
			*names = append(*names, v.text(field))
		}
	}
	inputs = slices.DeleteFunc(inputs, func(name string) bool { return slices.Contains(weights, name) })
	if len(inputs) == 0 || len(outputs) == 0 {
		return nil, nil, fmt.Errorf("the model takes %v and gives %v", inputs, outputs)
	}
	return inputs, outputs, nil
}
