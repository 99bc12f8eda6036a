// Package silero runs the Silero v6 voice activity detector in ONNX Runtime.
package silero

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/rtap/rtap/pkg/onnx"
	ort "github.com/yalue/onnxruntime_go"
)

// Sizes in samples at 16 kHz, and of the recurrent state in values.
const (
	FrameSamples   = 512
	contextSamples = 64
	stateValues    = 2 * 128
)

// ErrState is returned for a saved state of another layout.
var ErrState = errors.New("not a saved detector state")

// Model is the loaded network, shared by all streams.
type Model struct{ model *onnx.Model }

// New loads the pinned model.
func New() (*Model, error) {
	m, err := onnx.Open("silero-vad-v6", onnx.Options{Threads: 1})
	if err != nil {
		return nil, fmt.Errorf("loading the voice activity detector: %w", err)
	}
	return &Model{model: m}, nil
}

// Close frees the network; no stream may be used afterwards.
func (m *Model) Close() error { return m.model.Close() }

// Stream is the detector's memory of one stream. For one goroutine at a time.
type Stream struct {
	model            *Model
	input, state     *ort.Tensor[float32]
	output, newState *ort.Tensor[float32]
	rate             *ort.Scalar[int64]
}

// NewStream starts with no memory.
func (m *Model) NewStream() (*Stream, error) {
	s := &Stream{model: m}
	var errs [5]error
	s.input, errs[0] = ort.NewEmptyTensor[float32](ort.NewShape(1, contextSamples+FrameSamples))
	s.state, errs[1] = ort.NewEmptyTensor[float32](ort.NewShape(2, 1, 128))
	s.newState, errs[2] = ort.NewEmptyTensor[float32](ort.NewShape(2, 1, 128))
	s.output, errs[3] = ort.NewEmptyTensor[float32](ort.NewShape(1, 1))
	s.rate, errs[4] = ort.NewScalar[int64](16000)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("making detector tensors: %w", err)
	}
	return s, nil
}

// Probability returns how likely the frame holds speech, 0 to 1. The frame has 512
// samples in -1 to 1; a shorter one is filled with silence, what is not a number counts as 0.
func (s *Stream) Probability(frame []float32) (float32, error) {
	in := s.input.GetData()
	copy(in, in[FrameSamples:])
	fresh := in[contextSamples:]
	for i := range fresh {
		var x float32
		if i < len(frame) {
			x = frame[i]
		}
		if x != x || math.IsInf(float64(x), 0) {
			x = 0
		}
		fresh[i] = x
	}
	if err := s.model.model.Run([]ort.Value{s.input, s.state, s.rate}, []ort.Value{s.output, s.newState}); err != nil {
		return 0, fmt.Errorf("detecting speech: %w", err)
	}
	s.state, s.newState = s.newState, s.state
	return s.output.GetData()[0], nil
}

// Reset forgets everything heard.
func (s *Stream) Reset() {
	clear(s.input.GetData())
	clear(s.state.GetData())
}

// State saves what was heard.
func (s *Stream) State() []byte {
	out := make([]byte, 0, 4*(stateValues+contextSamples))
	for _, part := range [][]float32{s.state.GetData(), s.input.GetData()[FrameSamples:]} {
		for _, x := range part {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(x))
		}
	}
	return out
}

// SetState restores what State saved.
func (s *Stream) SetState(data []byte) error {
	if len(data) != 4*(stateValues+contextSamples) {
		return ErrState
	}
	for _, part := range [][]float32{s.state.GetData(), s.input.GetData()[FrameSamples:]} {
		for i := range part {
			part[i] = math.Float32frombits(binary.LittleEndian.Uint32(data))
			data = data[4:]
		}
	}
	return nil
}

// Close frees the stream's tensors.
func (s *Stream) Close() error {
	return errors.Join(s.input.Destroy(), s.state.Destroy(), s.newState.Destroy(), s.output.Destroy(), s.rate.Destroy())
}
