package edit

import (
	"fmt"
	"regexp"
	"slices"
)

var encoderKeys = regexp.MustCompile(`^past_key_values\.\d+\.encoder\.key$`)

// rewireKeys turns, in every layer that gets the keys K of the audio from a cache,
//
//	MatMul(q, Mul(Transpose(K), s))   into   MatMul(Mul(q, s), Transpose(K))
//
// q is one row, K one for every 24 ms of audio; and ONNX Runtime can fuse the transposition
// into the product. It returns how many layers there were.
func rewireKeys(nodes []message) ([]message, int, error) {
	layers := 0
	for _, n := range slices.Clone(nodes) {
		inputs := n.texts(nodeInput)
		if n.text(nodeOpType) != "Transpose" || len(inputs) != 1 || !encoderKeys.MatchString(inputs[0]) {
			continue
		}
		keys := n.text(nodeOutput)
		scaling, err := reader(nodes, keys, "Mul", 0)
		if err != nil {
			return nil, 0, err
		}
		scaled := nodes[scaling].text(nodeOutput)
		product, err := reader(nodes, scaled, "MatMul", 1)
		if err != nil {
			return nil, 0, err
		}
		query, factor := nodes[product].texts(nodeInput)[0], nodes[scaling].texts(nodeInput)[1]
		nodes[product] = withInputs(nodes[product], scaled, keys)
		mul := withInputs(nodes[scaling], query, factor)
		// Nodes stand after those that they read: the query may come after the old place.
		nodes = slices.Insert(nodes, product, mul)
		if scaling > product {
			scaling++
		}
		nodes = slices.Delete(nodes, scaling, scaling+1)
		layers++
	}
	return nodes, layers, nil
}

// reader returns the one node that reads value; it must be such an operator with two
// inputs, value being the one at that place.
func reader(nodes []message, value, op string, place int) (int, error) {
	found := -1
	for i, n := range nodes {
		if !slices.Contains(n.texts(nodeInput), value) {
			continue
		}
		inputs := n.texts(nodeInput)
		if found >= 0 || n.text(nodeOpType) != op || len(inputs) != 2 || inputs[place] != value {
			return 0, fmt.Errorf("%s is read by %s, want one %s that has it as input %d", value, n.text(nodeName), op, place)
		}
		found = i
	}
	if found < 0 {
		return 0, fmt.Errorf("%s is read by no node", value)
	}
	return found, nil
}

// withInputs returns the node with other inputs.
func withInputs(n message, inputs ...string) message {
	var out message
	for _, name := range inputs {
		out = append(out, bytesField(nodeInput, name))
	}
	for _, f := range n {
		if f.number != nodeInput {
			out = append(out, f)
		}
	}
	return out
}
