package onnx_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/onnx"
	"github.com/rtap/rtap/pkg/testkit"
	ort "github.com/yalue/onnxruntime_go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// encoderInputs are audio and no past to go on from.
func encoderInputs(t *testing.T, m *onnx.Model, audio ort.Value) []ort.Value {
	t.Helper()
	inputs := make([]ort.Value, len(m.Inputs))
	for i, name := range m.Inputs {
		var err error
		switch name {
		case "input_values":
			inputs[i] = audio
		case "position":
			inputs[i], err = ort.NewScalar(int64(0))
		case "past.from", "past.to":
			inputs[i], err = ort.NewTensor(ort.NewShape(1), []int64{0})
		default:
			inputs[i], err = ort.NewEmptyTensor[float32](ort.NewShape(1, 8, 0, 36))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return inputs
}

// TestRunContext runs an encoder on thirty seconds, stops it, and runs it again.
func TestRunContext(t *testing.T) {
	m, err := onnx.Open("moonshine-tiny-en/encoder", onnx.Options{})
	testkit.RequireNative(t, err)
	defer func() { _ = m.Close() }()
	audio, err := ort.NewTensor(ort.NewShape(1, 30*16000), testkit.Noise(30*16000, 0.5))
	if err != nil {
		t.Fatal(err)
	}
	inputs := encoderInputs(t, m, audio)
	defer func() {
		for _, v := range inputs {
			_ = v.Destroy()
		}
	}()
	hidden := slices.Index(m.Outputs, "last_hidden_state")
	run := func(ctx context.Context) (positions int64, err error) {
		outputs := make([]ort.Value, len(m.Outputs))
		err = m.RunContext(ctx, inputs, outputs)
		for i, v := range outputs {
			if v == nil {
				continue
			}
			if i == hidden {
				positions = v.GetShape()[1]
			}
			_ = v.Destroy()
		}
		return positions, err
	}
	done, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	for _, tt := range []struct {
		name string
		ctx  context.Context
		want error
	}{
		{"done within", done, context.Canceled}, {"done before", done, context.Canceled},
		{"not done", t.Context(), nil}, {"never done", context.Background(), nil},
	} {
		if n, err := run(tt.ctx); !errors.Is(err, tt.want) || err == nil && n < 1000 || err != nil && n > 0 {
			t.Errorf("%s: %d positions, %v", tt.name, n, err)
		}
	}
}
