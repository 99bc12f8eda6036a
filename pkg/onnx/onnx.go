// Package onnx opens models in ONNX Runtime with the settings that a live pipeline
// needs: few threads, no spinning, files checked first.
package onnx

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rtap/rtap/pkg/native"
	ort "github.com/yalue/onnxruntime_go"
)

var initialise = sync.OnceValue(func() error {
	lib, err := native.Locate("onnxruntime")
	if err != nil {
		return err
	}
	ort.SetSharedLibraryPath(lib)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("starting ONNX Runtime from %s: %w", lib, err)
	}
	return nil
})

// Options of a session.
type Options struct {
	// Threads of one inference.
	Threads int
	// Config holds session configuration entries.
	Config map[string]string
}

// Model is an open model. Run may be called by several goroutines at once.
type Model struct {
	Inputs, Outputs []string
	session         *ort.DynamicAdvancedSession
}

// Open loads the pinned file of that name. Its size and sum are checked before ONNX
// Runtime sees it.
func Open(name string, opts Options) (*Model, error) {
	path, err := native.Locate(name)
	if err != nil {
		return nil, err
	}
	if err := initialise(); err != nil {
		return nil, err
	}
	in, out, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, fmt.Errorf("reading model %s: %w", path, err)
	}
	m := &Model{}
	for _, i := range in {
		m.Inputs = append(m.Inputs, i.Name)
	}
	for _, o := range out {
		m.Outputs = append(m.Outputs, o.Name)
	}
	so, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("making session options: %w", err)
	}
	defer func() { _ = so.Destroy() }()
	errs := []error{
		so.SetIntraOpNumThreads(max(1, opts.Threads)),
		so.SetInterOpNumThreads(1),
		// A spinning pool would burn a core between frames.
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
	}
	for k, v := range opts.Config {
		errs = append(errs, so.AddSessionConfigEntry(k, v))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("setting session options: %w", err)
	}
	if m.session, err = ort.NewDynamicAdvancedSession(path, m.Inputs, m.Outputs, so); err != nil {
		return nil, fmt.Errorf("loading model %s: %w", path, err)
	}
	return m, nil
}

// Run infers. Nil outputs are allocated; the caller destroys them.
func (m *Model) Run(inputs, outputs []ort.Value) error { return m.session.Run(inputs, outputs) }

// Close frees the model.
func (m *Model) Close() error { return m.session.Destroy() }
