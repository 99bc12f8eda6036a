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

var ofAudio = regexp.MustCompile(`^present\.(\d+\.encoder\.(key|value))$`)

// continueKeys lets the first pass put the keys and values of audio that it makes behind those
// of earlier audio. Its attention does not read the keys K that it gives, but turns what they are
// made of by itself:
//
//	K = Transpose(R, [0 2 1 3]), Transpose(R, [0 2 3 1])
//
// which becomes Transpose(K, [0 1 3 2]). It returns how many keys and values it found.
func continueKeys(nodes []message) ([]message, int, error) {
	made := map[string]string{} // what keys are made of → the keys
	for _, n := range nodes {
		if m := ofAudio.FindStringSubmatch(n.text(nodeOutput)); m != nil && m[2] == "key" && n.text(nodeOpType) == "Transpose" {
			made[n.text(nodeInput)] = m[0]
		}
	}
	var out []message
	found, turned := 0, 0
	for _, n := range nodes {
		m := ofAudio.FindStringSubmatch(n.text(nodeOutput))
		switch keys := made[n.text(nodeInput)]; {
		case n.text(nodeOpType) != "Transpose":
			out = append(out, n)
		case m != nil:
			found++
			now := "fresh." + m[1]
			out = append(append(out, withOutput(n, now)), joined("past_key_values."+m[1], now, m[0])...)
		case keys != "":
			turned++
			out = append(out, newNode("Transpose", []string{keys}, n.texts(nodeOutput), attribute{name: "perm", values: []int64{0, 1, 3, 2}}))
		default:
			out = append(out, n)
		}
	}
	if turned != len(made) {
		return nil, 0, fmt.Errorf("the attention to audio turns %d keys, want one in each of %d layers", turned, len(made))
	}
	return out, found, nil
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
