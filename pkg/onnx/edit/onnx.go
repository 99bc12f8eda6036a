package edit

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers and enum values of onnx.proto, IR version 10, as far as they are used.
const (
	modelGraph = 7

	graphNode        = 1
	graphInitializer = 5

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOpType    = 4
	nodeAttribute = 5

	attributeName  = 1
	attributeInt   = 3
	attributeGraph = 6
	attributeType  = 20

	tensorDims     = 1
	tensorDataType = 2
	tensorName     = 8
	tensorRawData  = 9

	attributeTypeInt = 2

	typeFloat = 1
	typeUint8 = 2
	typeInt64 = 7
)

// attribute is an integer AttributeProto that is to be made.
type attribute struct {
	name  string
	value int64
}

// newNode makes a NodeProto, named by its first output.
func newNode(op string, inputs, outputs []string, attributes ...attribute) message {
	var m message
	for _, s := range inputs {
		m = append(m, bytesField(nodeInput, s))
	}
	for _, s := range outputs {
		m = append(m, bytesField(nodeOutput, s))
	}
	m = append(m, bytesField(nodeName, outputs[0]+"_"+op), bytesField(nodeOpType, op))
	for _, a := range attributes {
		m = append(m, bytesField(nodeAttribute, message{
			bytesField(attributeName, a.name), integerField(attributeInt, a.value), integerField(attributeType, attributeTypeInt),
		}.encode()))
	}
	return m
}

// tensor is a TensorProto: its shape and its little-endian content.
type tensor struct {
	name  string
	kind  int64
	shape []int64
	data  []byte
}

// field returns the tensor as one of a graph's initialisers.
func (t tensor) field() field {
	var m message
	for _, d := range t.shape {
		m = append(m, integerField(tensorDims, d))
	}
	m = append(m, integerField(tensorDataType, t.kind), bytesField(tensorName, t.name), bytesField(tensorRawData, t.data))
	return bytesField(graphInitializer, m.encode())
}

// initializer reads the graph's initialiser of that name, which must have raw content.
func initializer(graph message, name string) (tensor, error) {
	for _, f := range graph {
		if f.number != graphInitializer {
			continue
		}
		m, err := parse(f.content)
		if err != nil {
			return tensor{}, fmt.Errorf("reading an initialiser: %w", err)
		}
		if m.text(tensorName) != name {
			continue
		}
		t := tensor{name: name, data: []byte(m.text(tensorRawData))}
		if t.shape, err = m.integers(tensorDims); err != nil {
			return tensor{}, fmt.Errorf("reading initialiser %s: %w", name, err)
		}
		kind, err := m.integers(tensorDataType)
		if err != nil || len(kind) != 1 {
			return tensor{}, fmt.Errorf("reading initialiser %s: its type is missing", name)
		}
		t.kind = kind[0]
		return t, nil
	}
	return tensor{}, fmt.Errorf("the graph has no initialiser %s", name)
}

// within replaces the content of every field of that number in m for which change returns
// one, and counts them.
func within(m message, number protowire.Number, change func(message) ([]byte, error)) (int, error) {
	changed := 0
	for i, f := range m {
		if f.number != number {
			continue
		}
		inner, err := parse(f.content)
		if err != nil {
			return changed, err
		}
		content, err := change(inner)
		if err != nil {
			return changed, err
		}
		if content != nil {
			m[i] = bytesField(number, content)
			changed++
		}
	}
	return changed, nil
}

func int64s(values ...int64) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint64(out, uint64(v))
	}
	return out
}
