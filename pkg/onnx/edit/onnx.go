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
	graphInput       = 11
	graphOutput      = 12

	valueName       = 1
	valueType       = 2
	typeTensor      = 1
	tensorElement   = 1
	tensorShape     = 2
	shapeDimension  = 1
	dimensionSymbol = 2

	nodeInput     = 1
	nodeOutput    = 2
	nodeName      = 3
	nodeOpType    = 4
	nodeAttribute = 5

	attributeName  = 1
	attributeInt   = 3
	attributeInts  = 8
	attributeGraph = 6
	attributeType  = 20

	tensorDims     = 1
	tensorDataType = 2
	tensorName     = 8
	tensorRawData  = 9

	attributeTypeInt  = 2
	attributeTypeInts = 7

	typeFloat = 1
	typeUint8 = 2
	typeInt64 = 7
)

// attribute is an AttributeProto that is to be made: of an integer, or of several.
type attribute struct {
	name   string
	value  int64
	values []int64
}

func (a attribute) encode() []byte {
	if a.values == nil {
		return message{bytesField(attributeName, a.name), integerField(attributeInt, a.value), integerField(attributeType, attributeTypeInt)}.encode()
	}
	m := message{bytesField(attributeName, a.name)}
	for _, v := range a.values {
		m = append(m, integerField(attributeInts, v))
	}
	return append(m, integerField(attributeType, attributeTypeInts)).encode()
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
		m = append(m, bytesField(nodeAttribute, a.encode()))
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

// value makes a ValueInfoProto, one of a graph's inputs or outputs: a tensor whose
// dimensions have names; without any it is a scalar.
func value(number protowire.Number, name string, kind int64, dimensions ...string) field {
	var shape message
	for _, d := range dimensions {
		shape = append(shape, bytesField(shapeDimension, message{bytesField(dimensionSymbol, d)}.encode()))
	}
	of := message{integerField(tensorElement, kind), bytesField(tensorShape, shape.encode())}
	return bytesField(number, message{
		bytesField(valueName, name), bytesField(valueType, message{bytesField(typeTensor, of.encode())}.encode()),
	}.encode())
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
