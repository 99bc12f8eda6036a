package moonshine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// decoding is the state of one text: the tensors of the last pass feed the next.
type decoding struct {
	engine  *Engine
	inputs  []ort.Value
	token   *ort.Tensor[int64]
	branch  *ort.Tensor[bool]
	owned   []bool // inputs made here or by a pass, to be destroyed
	started bool
}

func newDecoding(e *Engine, hidden ort.Value) (*decoding, error) {
	d := &decoding{engine: e, inputs: make([]ort.Value, len(e.decoder.Inputs)), owned: make([]bool, len(e.decoder.Inputs))}
	var errs [2]error
	d.token, errs[0] = ort.NewTensor(ort.NewShape(1, 1), []int64{bos})
	d.branch, errs[1] = ort.NewTensor(ort.NewShape(1), []bool{false})
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("making decoder tensors: %w", err)
	}
	for i, name := range e.decoder.Inputs {
		switch name {
		case "input_ids":
			d.inputs[i] = d.token
		case "use_cache_branch":
			d.inputs[i] = d.branch
		case "encoder_hidden_states":
			d.inputs[i] = hidden
		default:
			// The first pass does not read its caches; one empty position satisfies the graph.
			past, err := ort.NewEmptyTensor[float32](ort.NewShape(1, heads, 1, headSize))
			if err != nil {
				d.close()
				return nil, fmt.Errorf("making decoder tensors: %w", err)
			}
			d.inputs[i], d.owned[i] = past, true
		}
	}
	return d, nil
}

// step feeds one token and returns the logits of the next.
func (d *decoding) step(token int64) ([]float32, error) {
	d.token.GetData()[0] = token
	d.branch.GetData()[0] = d.started
	outputs := make([]ort.Value, len(d.engine.decoder.Outputs))
	if err := d.engine.decoder.Run(d.inputs, outputs); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	logits, ok := outputs[0].(*ort.Tensor[float32])
	if !ok {
		destroy(outputs...)
		return nil, fmt.Errorf("decoding: logits are %T", outputs[0])
	}
	// A pass with several tokens gives a row of logits each; the last row counts.
	shape := logits.GetShape()
	row := int(shape[len(shape)-1])
	values := slices.Clone(logits.GetData())
	taken := make([]bool, len(outputs))
	for i, from := range d.engine.pastOf {
		if from < 0 {
			continue
		}
		// The encoder's keys and values come from the first pass and stay.
		if d.started && strings.Contains(d.engine.decoder.Inputs[i], ".encoder.") {
			continue
		}
		destroy(d.inputs[i])
		d.inputs[i], d.owned[i], taken[from] = outputs[from], true, true
	}
	for i, out := range outputs {
		if !taken[i] {
			destroy(out)
		}
	}
	d.started = true
	return values[len(values)-row:], nil
}

func (d *decoding) close() {
	for i, owned := range d.owned {
		if owned {
			destroy(d.inputs[i])
		}
	}
	destroy(d.token, d.branch)
}
