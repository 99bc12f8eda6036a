package edit

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Names in the decoder.
const (
	embedding  = "model.decoder.embed_tokens.weight_merged_0_quantized"
	scale      = "model.decoder.embed_tokens.weight_merged_0_scale"
	zeroPoint  = "model.decoder.embed_tokens.weight_merged_0_zero_point"
	projection = "/proj_out/MatMul"
	transposed = "model.decoder.embed_tokens.weight_transposed"
	logits     = "logits"
	logitsFrom = "logits.from"
)

// hiddenAxis is that of the positions in the hidden state; beyond is behind the last of them.
var (
	hiddenAxis = tensor{name: "/proj_out/axis", kind: typeInt64, shape: []int64{1}, data: int64s(1)}
	beyond     = tensor{name: "/proj_out/beyond", kind: typeInt64, shape: []int64{1}, data: int64s(math.MaxInt64)}
)

// transposedEmbedding makes the weights [width, vocabulary] of uint8 out of the embedding
// [vocabulary, width].
func transposedEmbedding(graph message) (tensor, error) {
	e, err := initializer(graph, embedding)
	if err != nil {
		return tensor{}, err
	}
	size := int64(len(e.data))
	// By division: a product may overflow.
	if e.kind != typeUint8 || len(e.shape) != 2 || size == 0 || e.shape[1] <= 0 || size%e.shape[1] != 0 || size/e.shape[1] != e.shape[0] {
		return tensor{}, fmt.Errorf("initialiser %s has type %d, shape %v and %d bytes, want a matrix of uint8", embedding, e.kind, e.shape, size)
	}
	rows, columns := int(e.shape[0]), int(e.shape[1])
	t := tensor{name: transposed + "_uint8", kind: typeUint8, shape: []int64{e.shape[1], e.shape[0]}, data: make([]byte, size)}
	for r := range rows {
		for c := range columns {
			t.data[c*rows+r] = e.data[r*columns+c]
		}
	}
	return t, nil
}

// replaceProjection drops what dequantises the embedding and multiplies with it.
func replaceProjection(nodes []message) ([]message, error) {
	var out []message
	dropped, replaced := 0, false
	for _, n := range nodes {
		inputs, outputs := n.texts(nodeInput), n.texts(nodeOutput)
		switch {
		case slices.Contains(outputs, transposed), slices.Contains(outputs, transposed+"_quantized"):
			dropped++
		case n.text(nodeName) == projection:
			if len(inputs) != 2 || inputs[1] != transposed || !slices.Equal(outputs, []string{logits}) {
				return nil, fmt.Errorf("%s takes %v and gives %v", projection, inputs, outputs)
			}
			out = append(out, projected(inputs[0])...)
			replaced = true
		case slices.Contains(inputs, transposed):
			return nil, fmt.Errorf("%s is also read by %s", transposed, n.text(nodeName))
		default:
			out = append(out, n)
		}
	}
	if dropped != 2 || !replaced {
		return nil, errors.New("the projection is not where it was")
	}
	return out, nil
}

// projected returns the nodes that make the logits of the last positions of hidden, which
// has shape [batch, positions, width]:
//
//	rows       = hidden[:, logits.from:]
//	xq, xs, xz = DynamicQuantizeLinear(rows)
//	logits     = float(MatMulInteger(xq, embeddingᵀ, xz, zero point)) · (xs · scale)
func projected(hidden string) []message {
	const at = "/proj_out/"
	return []message{
		newNode("Slice", []string{hidden, logitsFrom, beyond.name, hiddenAxis.name}, []string{at + "rows"}),
		newNode("DynamicQuantizeLinear", []string{at + "rows"}, []string{at + "quantized", at + "scale", at + "zero_point"}),
		newNode("MatMulInteger", []string{at + "quantized", transposed + "_uint8", at + "zero_point", zeroPoint}, []string{at + "sums"}),
		newNode("Cast", []string{at + "sums"}, []string{at + "float"}, attribute{name: "to", value: typeFloat}),
		newNode("Mul", []string{at + "scale", scale}, []string{at + "unit"}),
		newNode("Mul", []string{at + "float", at + "unit"}, []string{logits}),
	}
}
