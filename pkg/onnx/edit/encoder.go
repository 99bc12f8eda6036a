package edit

import (
	"fmt"
	"regexp"
	"slices"
)

// Names in the encoder, and those of what it gets.
const (
	positions = "/Range"

	pastFrom = "past.from"
	pastTo   = "past.to"
	position = "position"
)

// pastAxis is that of the frames in keys and values.
var pastAxis = tensor{name: "past.axis", kind: typeInt64, shape: []int64{1}, data: int64s(2)}

// Readers of the rotated keys and of the values of a layer.
var (
	readsKeys   = regexp.MustCompile(`^/layers\.(\d+)/self_attn/Transpose_3$`)
	readsValues = regexp.MustCompile(`^/layers\.(\d+)/self_attn/MatMul_1$`)
)

// MoonshineEncoder returns a Moonshine encoder, as optimum exports it, that can go on from what
// it made of earlier audio. Beside the audio, which may now be the end of what is to be encoded, it takes
//
//	past.N.key, past.N.value [1, heads, past, width]   of layer N, as an earlier run gave them
//	past.from, past.to       [1]                       the part of them that comes before the audio
//	position                 []                        of the audio's first frame, in the count of that run
//
// and gives present.N.key and present.N.value of that part and the audio together, and the last
// hidden state of the audio. Frames of the past are not changed by what follows them; those of the audio
// attend to both. With an empty past it is the encoder that it was. Positions are rotations,
// of which attention sees the differences alone, so a past may lose its beginning.
func MoonshineEncoder(model []byte) ([]byte, error) {
	m, err := parse(model)
	if err != nil {
		return nil, fmt.Errorf("reading the model: %w", err)
	}
	n, err := within(m, modelGraph, editEncoder)
	if err != nil {
		return nil, fmt.Errorf("editing the model's graph: %w", err)
	}
	if n != 1 {
		return nil, fmt.Errorf("editing the model: it has %d graphs, want one", n)
	}
	return m.encode(), nil
}

func editEncoder(graph message) ([]byte, error) {
	e := &continued{}
	for _, f := range graph {
		if f.number != graphNode {
			e.rest = append(e.rest, f)
			continue
		}
		n, err := parse(f.content)
		if err != nil {
			return nil, fmt.Errorf("reading a node: %w", err)
		}
		if err := e.take(n); err != nil {
			return nil, err
		}
	}
	if e.ranges != 1 || e.keys == 0 || e.keys != e.values {
		return nil, fmt.Errorf("the encoder has %d layers with keys, %d with values, %d rows of positions; want as many of the first two, and one of these",
			e.keys, e.values, e.ranges)
	}
	e.input(pastFrom, typeInt64, "one")
	e.input(pastTo, typeInt64, "one")
	e.input(position, typeInt64)
	out := make(message, 0, len(e.nodes)+len(e.rest)+len(e.added))
	for _, n := range e.nodes {
		out = append(out, bytesField(graphNode, n.encode()))
	}
	return append(append(append(out, e.rest...), e.added...), pastAxis.field()).encode(), nil
}

// continued is an encoder while it is changed.
type continued struct {
	nodes []message
	rest  message // fields that are not nodes
	added message // inputs and outputs to add
	// How many of each have been found.
	keys, values, ranges int
}

func (e *continued) take(n message) error {
	inputs, name := n.texts(nodeInput), n.text(nodeName)
	switch layer := readsKeys.FindStringSubmatch(name); {
	case layer != nil:
		if len(inputs) != 1 {
			return fmt.Errorf("%s takes %v", name, inputs)
		}
		e.keys++
		e.nodes = append(e.nodes, withInputs(n, e.joined(layer[1]+".key", inputs[0])))
		return nil
	case name == positions:
		if len(inputs) != 3 {
			return fmt.Errorf("%s takes %v", name, inputs)
		}
		e.ranges++
		end := position + ".end"
		e.nodes = append(e.nodes, newNode("Add", []string{inputs[1], position}, []string{end}), withInputs(n, position, end, inputs[2]))
		return nil
	}
	if layer := readsValues.FindStringSubmatch(name); layer != nil {
		if len(inputs) != 2 {
			return fmt.Errorf("%s takes %v", name, inputs)
		}
		e.values++
		n = withInputs(n, inputs[0], e.joined(layer[1]+".value", inputs[1]))
	}
	e.nodes = append(e.nodes, n)
	return nil
}

// joined adds the nodes that put what is kept of the past before now, and returns its name.
func (e *continued) joined(name, now string) string {
	past, present := "past."+name, "present."+name
	e.nodes = append(e.nodes, joined(past, now, present)...)
	e.input(past, typeFloat, "batch", "heads", "past", "width")
	e.added = append(e.added, value(graphOutput, present, typeFloat, "batch", "heads", "frames", "width"))
	return present
}

// joined are the nodes that put what is kept of the past before now.
func joined(past, now, present string) []message {
	return []message{
		newNode("Slice", []string{past, pastFrom, pastTo, pastAxis.name}, []string{past + ".kept"}),
		newNode("Concat", []string{past + ".kept", now}, []string{present}, attribute{name: "axis", value: 2}),
	}
}

func (e *continued) input(name string, kind int64, dimensions ...string) {
	e.added = append(e.added, value(graphInput, name, kind, dimensions...))
}

// withOutput returns the node with another output, its only one.
func withOutput(n message, name string) message {
	out := slices.Clone(n)
	for i, f := range out {
		if f.number == nodeOutput {
			out[i] = bytesField(nodeOutput, name)
		}
	}
	return out
}
