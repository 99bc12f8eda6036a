package onnx_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/onnx"
	"github.com/rtap/rtap/pkg/testkit"
	ort "github.com/yalue/onnxruntime_go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRunContext runs an encoder on thirty seconds, stops it, and runs it again.
func TestRunContext(t *testing.T) {
	m, err := onnx.Open("moonshine-tiny-en/encoder", onnx.Options{})
	testkit.RequireNative(t, err)
	defer func() { _ = m.Close() }()
	audio, err := ort.NewTensor(ort.NewShape(1, 30*16000), testkit.Noise(30*16000, 0.5))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = audio.Destroy() }()
	run := func(ctx context.Context) (positions int64, err error) {
		outputs := []ort.Value{nil}
		err = m.RunContext(ctx, []ort.Value{audio}, outputs)
		if outputs[0] != nil {
			positions = outputs[0].GetShape()[1]
			_ = outputs[0].Destroy()
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
