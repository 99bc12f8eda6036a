// Package onnx opens models in ONNX Runtime with the settings that a live pipeline
// needs: few threads, no spinning, files checked first.
package onnx

// #include <stddef.h>
//
// extern int malloc_trim(size_t) __attribute__((weak)); // glibc has it
//
// // give_back returns to the system what loading a model took and freed: forty megabytes for Moonshine.
// static void give_back(void) { if (malloc_trim) malloc_trim(0); }
import "C"

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/onnx/edit"
	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/unix"
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

	key   string
	users int // of the session; guarded by opening
}

// opened holds the open models: who opens one again with the same options shares it, so
// that copies of an engine hold the weights once.
var (
	opening sync.Mutex
	opened  = map[string]*Model{}
)

// Open loads the pinned file of that name, or shares it with who has it open with the same
// options. Its size and sum are checked before ONNX Runtime sees it. Each Open needs a Close.
func Open(name string, opts Options) (*Model, error) {
	opening.Lock()
	defer opening.Unlock()
	key := fmt.Sprint(name, opts.Threads, opts.Config) // maps are printed in order
	m := opened[key]
	if m == nil {
		var err error
		if m, err = load(name, opts); err != nil {
			return nil, err
		}
		m.key, opened[key] = key, m
	}
	m.users++
	return m, nil
}

func load(name string, opts Options) (*Model, error) {
	path, err := native.Locate(name)
	if err != nil {
		return nil, err
	}
	if err := initialise(); err != nil {
		return nil, err
	}
	m := &Model{}
	if m.Inputs, m.Outputs, err = names(path); err != nil {
		return nil, fmt.Errorf("reading model %s: %w", path, err)
	}
	so, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("making session options: %w", err)
	}
	defer func() { _ = so.Destroy() }()
	errs := []error{
		so.SetIntraOpNumThreads(max(1, opts.Threads)),
		so.SetInterOpNumThreads(1),
		// It would keep a plan of memory for every length of audio that ever came.
		so.SetMemPattern(false),
		// A spinning pool would burn a core between frames.
		so.AddSessionConfigEntry("session.intra_op.allow_spinning", "0"),
		// What fails is returned; a run that was told to end would be logged as an error.
		so.SetLogSeverityLevel(ort.LoggingLevelFatal),
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
	C.give_back()
	return m, nil
}

// names reads what a model takes and gives. Its weights, most of the file, are mapped and not touched.
func names(path string) (inputs, outputs []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	model, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping it: %w", err)
	}
	defer func() { _ = unix.Munmap(model) }()
	return edit.Names(model)
}

// Run infers. Nil outputs are allocated; the caller destroys them.
func (m *Model) Run(inputs, outputs []ort.Value) error { return m.session.Run(inputs, outputs) }

// RunContext is Run that ends early, with the context's error, when ctx is done: what the
// outputs then hold is undefined. ONNX Runtime looks between two nodes of the graph. A nil
// output is never left allocated by a call that fails.
func (m *Model) RunContext(ctx context.Context, inputs, outputs []ort.Value) error {
	if ctx.Done() == nil {
		return m.Run(inputs, outputs)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	options, err := ort.NewRunOptions()
	if err != nil {
		return fmt.Errorf("making run options: %w", err)
	}
	defer func() { _ = options.Destroy() }()
	ended := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = options.Terminate()
	})
	err = m.session.RunWithOptions(inputs, outputs, options)
	if !release() {
		<-ended // it uses the options, which are freed next
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Close frees the model when nobody else has it open.
func (m *Model) Close() error {
	opening.Lock()
	defer opening.Unlock()
	if m.users--; m.users > 0 {
		return nil
	}
	delete(opened, m.key)
	return m.session.Destroy()
}
