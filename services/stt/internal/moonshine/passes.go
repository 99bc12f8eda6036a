package moonshine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

const vocabularySize = 32768

// decoder runs the passes of one text at a time. All that the graph reads and writes lies
// in memory that is kept from text to text: nothing is copied between two passes.
type decoder struct {
	model           *onnx.Model
	inputs, outputs []ort.Value // of the next pass, in the graph's order
	ids, hidden     int         // the places of those inputs
	branch, rows    int
	from, to        int
	scores          int // the place of the logits among the outputs
	caches          []*cache
	positions       int // tokens in the caches

	token         *ort.Tensor[int64]    // [1, 1]
	span          [3]*ort.Tensor[int64] // [1] each: the first of the logits wanted, and the part of the past that is
	first, cached *ort.Tensor[bool]     // use_cache_branch
	logits        *ort.Tensor[float32]  // [1, 1, vocabularySize]
	several       []float32             // room for the logits of a first pass
	unread        *ort.Tensor[float32]  // stands for a cache in the first pass
	unwritten     *ort.Tensor[float32]  // what later passes give in place of the audio's keys and values
}

// newDecoder takes the model, which close frees.
func newDecoder(model *onnx.Model) (*decoder, error) {
	d := &decoder{model: model, inputs: make([]ort.Value, len(model.Inputs)), outputs: make([]ort.Value, len(model.Outputs)),
		ids: slices.Index(model.Inputs, "input_ids"), hidden: slices.Index(model.Inputs, "encoder_hidden_states"),
		branch: slices.Index(model.Inputs, "use_cache_branch"), rows: slices.Index(model.Inputs, "logits.from"),
		from: slices.Index(model.Inputs, "past.from"), to: slices.Index(model.Inputs, "past.to"), scores: slices.Index(model.Outputs, "logits")}
	if min(d.ids, d.hidden, d.branch, d.rows, d.from, d.to, d.scores) < 0 {
		return d, fmt.Errorf("the decoder takes %v and gives %v", model.Inputs, model.Outputs)
	}
	for in, name := range model.Inputs {
		if !strings.HasPrefix(name, "past_key_values.") {
			continue
		}
		out := slices.Index(model.Outputs, strings.Replace(name, "past_key_values", "present", 1))
		if out < 0 {
			return d, fmt.Errorf("the decoder takes %s and gives %v", name, model.Outputs)
		}
		d.caches = append(d.caches, &cache{in: in, out: out, audio: strings.Contains(name, ".encoder.")})
	}
	var errs [6]error
	d.token, errs[0] = ort.NewEmptyTensor[int64](ort.NewShape(1, 1))
	d.first, errs[1] = ort.NewTensor(ort.NewShape(1), []bool{false})
	d.cached, errs[2] = ort.NewTensor(ort.NewShape(1), []bool{true})
	d.logits, errs[3] = ort.NewEmptyTensor[float32](ort.NewShape(1, 1, vocabularySize))
	d.unread, errs[4] = ort.NewEmptyTensor[float32](cacheShape(0))
	d.unwritten, errs[5] = ort.NewEmptyTensor[float32](ort.NewShape(0, heads, 1, headSize))
	if err := errors.Join(errs[:]...); err != nil {
		return d, fmt.Errorf("making decoder tensors: %w", err)
	}
	for i := range d.span {
		var err error
		if d.span[i], err = ort.NewEmptyTensor[int64](ort.NewShape(1)); err != nil {
			return d, fmt.Errorf("making decoder tensors: %w", err)
		}
	}
	d.inputs[d.rows], d.inputs[d.from], d.inputs[d.to] = d.span[0], d.span[1], d.span[2]
	return d, nil
}

// begin is the first pass: it reads prefix, what is expected after it, and what the encoder made
// of the audio. The logits of the tokens after the prefix and after each expected one, a row of
// vocabularySize each, are valid until the next pass.
func (d *decoder) begin(ctx context.Context, x *encoded, prefix, expected []int64) ([]float32, error) {
	all, rows := slices.Concat(prefix, expected), 1+len(expected)
	ids, err := ort.NewTensor(ort.NewShape(1, int64(len(all))), all)
	if err != nil {
		return nil, fmt.Errorf("making decoder tensors: %w", err)
	}
	defer destroy(ids)
	if need := rows * vocabularySize; len(d.several) < need {
		d.several = make([]float32, need)
	}
	logits, err := ort.NewTensor(ort.NewShape(1, int64(rows), vocabularySize), d.several[:rows*vocabularySize])
	if err != nil {
		return nil, fmt.Errorf("making decoder tensors: %w", err)
	}
	defer destroy(logits)
	d.inputs[d.ids], d.inputs[d.hidden], d.inputs[d.branch], d.outputs[d.scores] = ids, x.hidden, d.first, logits
	d.span[0].GetData()[0], d.span[1].GetData()[0], d.span[2].GetData()[0] = -int64(rows), int64(x.from), int64(x.to)
	audio := 0
	for _, c := range d.caches {
		switch d.inputs[c.in] = d.unread; {
		case !c.audio:
			if d.outputs[c.out], err = c.of(len(all)); err != nil {
				return nil, err
			}
		case x.past != nil:
			d.inputs[c.in] = x.past.cross[audio]
			fallthrough
		default:
			d.outputs[c.out] = nil // x gets it
			audio++
		}
	}
	if err := d.model.RunContext(ctx, d.inputs, d.outputs); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	d.positions = len(all)
	d.inputs[d.ids], d.inputs[d.branch], d.outputs[d.scores] = d.token, d.cached, d.logits
	d.span[0].GetData()[0] = -1
	for _, c := range d.caches {
		if c.audio {
			x.cross = append(x.cross, d.outputs[c.out])
			d.inputs[c.in], d.outputs[c.out] = d.outputs[c.out], d.unwritten
		}
	}
	return d.several[:rows*vocabularySize], nil
}

// forget takes the last so many tokens back.
func (d *decoder) forget(tokens int) error {
	if tokens == 0 {
		return nil
	}
	for _, c := range d.caches {
		if !c.audio {
			if err := c.cut(d.positions, d.positions-tokens); err != nil {
				return err
			}
		}
	}
	d.positions -= tokens
	return nil
}

// next is a later pass: one token, and what the passes before left in the caches.
func (d *decoder) next(ctx context.Context, token int64) (_ []float32, err error) {
	d.token.GetData()[0] = token
	for _, c := range d.caches {
		if c.audio {
			continue
		}
		if d.inputs[c.in], err = c.of(d.positions); err != nil {
			return nil, err
		}
		if d.outputs[c.out], err = c.of(d.positions + 1); err != nil {
			return nil, err
		}
	}
	if err := d.model.RunContext(ctx, d.inputs, d.outputs); err != nil {
		return nil, fmt.Errorf("decoding: %w", err)
	}
	d.positions++
	return d.logits.GetData(), nil
}

func (d *decoder) close() error {
	for _, c := range d.caches {
		c.close()
	}
	if d.token != nil {
		destroy(d.token)
	}
	for _, t := range d.span {
		if t != nil {
			destroy(t)
		}
	}
	for _, t := range []*ort.Tensor[float32]{d.logits, d.unread, d.unwritten} {
		if t != nil {
			destroy(t)
		}
	}
	for _, t := range []*ort.Tensor[bool]{d.first, d.cached} {
		if t != nil {
			destroy(t)
		}
	}
	return d.model.Close()
}

func destroy(v ort.Value) { _ = v.Destroy() }
