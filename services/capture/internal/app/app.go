// Package app wires the capture process: it opens every source and publishes each as a
// stream of its own.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/capture/internal/channels"
	"github.com/rtap/rtap/services/capture/internal/device"
	"github.com/rtap/rtap/services/capture/internal/ingest"
	"github.com/rtap/rtap/services/capture/internal/source"
)

// Run is the capture process. `rtap-capture devices [--json]` lists devices instead, and
// `rtap-capture streams URI…` the ids of the streams that the sources would be.
func Run(ctx context.Context, env lifecycle.Env) error {
	if len(env.Args) > 0 && env.Args[0] == "devices" {
		return devices(env)
	}
	if len(env.Args) > 0 && env.Args[0] == "streams" {
		return streams(env)
	}
	var uris []string
	rt, err := service.Start(env, func(fs *flag.FlagSet) {
		fs.Func("source", "`URI`: mic, mic:NAME, file:PATH, mock, listen; may be repeated", func(s string) error {
			uris = append(uris, s)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if len(uris) == 0 {
		uris = rt.Config.Audio.Sources
	}
	specs, err := source.ParseAll(uris)
	if err != nil {
		return lifecycle.Usage(err)
	}
	var inputs []input
	var listener *ingest.Listener
	for _, spec := range specs {
		if spec.Kind == source.KindListen {
			listener = ingest.NewListener(rt)
			continue
		}
		in, err := open(rt, spec)
		if err != nil {
			return lifecycle.Usage(err)
		}
		inputs = append(inputs, in)
	}
	err = rt.Run(ctx, rt.Config.HTTP.Capture, "http.capture", lifecycle.Part{
		Name: "sources", Run: func(ctx context.Context) error { return capture(ctx, rt, inputs, listener) },
	})
	if err == nil && ctx.Err() == nil && rt.RunID != "" {
		// Whoever started it must tell this from a process that somebody stopped.
		return &lifecycle.ExitError{Code: lifecycle.ExitEnded, Err: errors.New("every source has ended")}
	}
	return err
}

// open checks a source before anything starts, so that a bad one is told at once.
func open(rt *service.Runtime, spec source.Spec) (input, error) {
	if spec.Kind == source.KindMic && rt.Config.Audio.Mock {
		spec.Kind = source.KindMock
	}
	switch spec.Kind {
	case source.KindFile:
		return openFile(spec.Name, spec, channels.For(rt, spec.Stream))
	case source.KindMock:
		path, err := native.Locate("jfk")
		if err != nil {
			return nil, fmt.Errorf("the mock's recording: %w", err)
		}
		return &mock{path: path, spec: spec}, nil
	default:
		wanted := spec.Name
		if wanted == "" {
			wanted = rt.Config.Audio.Device
		}
		return openMic(rt, spec, wanted)
	}
}

// capture runs all inputs; it ends when all have ended. A listener, which may be nil, has
// no end.
func capture(ctx context.Context, rt *service.Runtime, inputs []input, listener *ingest.Listener) error {
	if err := rt.Bus.Await(ctx); err != nil {
		return err
	}
	rt.Health.SetState(obs.StateActive)
	var (
		wg   sync.WaitGroup
		errs = make([]error, len(inputs))
		s    = &shown{rt: rt, ids: map[string]bool{}}
	)
	for i, in := range inputs {
		wg.Go(func() { errs[i] = run(ctx, rt, in, func(held bool) { s.local(in.stream(), held) }) })
	}
	if listener != nil {
		errs = append(errs, listener.Run(ctx, s.remote))
	}
	wg.Wait()
	return errors.Join(errs...)
}

// shown are the streams that this process captures, and says so in its status.
type shown struct {
	rt *service.Runtime

	mu      sync.Mutex
	ids     map[string]bool
	clients []string
}

func (s *shown) local(id string, held bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[id] = true; !held {
		delete(s.ids, id)
	}
	s.show()
}

func (s *shown) remote(ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients = ids
	s.show()
}

func (s *shown) show() {
	s.rt.Health.SetStreams(append(slices.Sorted(maps.Keys(s.ids)), s.clients...))
}

func streams(env lifecycle.Env) error {
	specs, err := source.ParseAll(env.Args[1:])
	if err != nil {
		return lifecycle.Usage(err)
	}
	for _, s := range specs {
		if s.Kind != source.KindListen { // whose streams nobody knows yet
			fmt.Fprintln(env.Stdout, s.Stream)
		}
	}
	return nil
}

func devices(env lifecycle.Env) error {
	backend := "auto"
	list, err := device.List(backend)
	if err != nil {
		return err
	}
	if strings.Join(env.Args[1:], " ") == "--json" {
		enc := json.NewEncoder(env.Stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(list)
	}
	for _, d := range list {
		mark := " "
		if d.Default {
			mark = "*"
		}
		fmt.Fprintf(env.Stdout, "%s %s\n    id %s\n", mark, d.Name, d.ID)
	}
	if len(list) == 0 {
		fmt.Fprintln(env.Stdout, "no capture devices; --source mock plays a recording instead")
	}
	return nil
}
