package app

import (
	"log/slog"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/source"
	"google.golang.org/protobuf/proto"
)

// TestPosition: where a file goes on, by what is still stored of it.
func TestPosition(t *testing.T) {
	b := testkit.Bus(t, nil)
	const run = "run"
	// An epoch that was given out to the file, a recorded segment of samples 5120 to 8192, and what follows.
	begin := func(t *testing.T, stream, name, run string, ended bool) {
		epoch, err := b.NewEpoch(t.Context(), stream, name, run)
		if err != nil {
			t.Fatal(err)
		}
		cp := &rtapv1.Checkpoint{StreamId: stream, Epoch: epoch, NextFrame: 18, Ended: ended, Boundary: &rtapv1.Boundary{
			Kind: rtapv1.Boundary_KIND_SEGMENT, Ordinal: 1, Span: &rtapv1.Span{Epoch: epoch, StartSample: 5120, EndSample: 8192},
		}}
		if _, err := b.StoreCheckpoint(t.Context(), cp, 0); err != nil {
			t.Fatal(err)
		}
	}
	store := func(t *testing.T, f *rtapv1.Frame) {
		data, err := proto.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.JS().Publish(t.Context(), bus.Audio(f.GetStreamId()), data); err != nil {
			t.Fatal(err)
		}
	}
	given := func(t *testing.T, stream, name, run string) {
		if _, err := b.NewEpoch(t.Context(), stream, name, run); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		what   string
		run    string
		own    uint64 // the epoch that this process played last
		before func(t *testing.T, stream, name string)
		want   where
	}{
		{"new", run, 0, func(*testing.T, string, string) {}, where{epoch: 1}},
		{"stored", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, false)
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 30, Source: name, Run: run})
		}, where{epoch: 1, frame: 31, burst: 31}},
		{"one-under-way-was-lost", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, false)
			for _, n := range []uint64{28, 29, 31, 32} {
				store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: n, Source: name, Run: run})
			}
		}, where{epoch: 1, frame: 30, burst: 33}},
		{"lost-and-sent-again", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, false)
			for _, n := range []uint64{28, 30, 31, 29, 30, 31} {
				store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: n, Source: name, Run: run})
			}
		}, where{epoch: 1, frame: 32, burst: 32}},
		{"lost-and-told", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, false)
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 28, Source: name, Run: run})
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 31, GapMs: 64, Source: name, Run: run})
		}, where{epoch: 1, frame: 32, burst: 32}},
		{"lost-before-the-end", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, false)
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 28, Source: name, Run: run})
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 30, End: true, Source: name, Run: run})
		}, where{epoch: 1, frame: 29, burst: 31}},
		{"played", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, true)
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 28, Source: name, Run: run})
			store(t, &rtapv1.Frame{StreamId: stream, Epoch: 1, Frame: 29, End: true, Source: name, Run: run})
		}, where{epoch: 1, done: true}},
		{"expired", run, 0, func(t *testing.T, stream, name string) { begin(t, stream, name, run, false) }, where{epoch: 1, frame: 10, burst: 18}},
		{"expired-played", run, 0, func(t *testing.T, stream, name string) { begin(t, stream, name, run, true) }, where{epoch: 1, frame: 10, burst: 18, done: true}},
		{"expired-of-another-run", run, 0, func(t *testing.T, stream, name string) { begin(t, stream, name, "earlier", false) }, where{epoch: 2}},
		{"expired-of-another-source", run, 0, func(t *testing.T, stream, _ string) { begin(t, stream, "file:other.wav", run, false) }, where{epoch: 2}},
		{"expired-without-a-run", "", 0, func(t *testing.T, stream, name string) { begin(t, stream, name, "", false) }, where{epoch: 2}},
		{"expired-under-way", "", 1, func(t *testing.T, stream, name string) { begin(t, stream, name, "", false) }, where{epoch: 1, frame: 10, burst: 18}},
		{"nothing-recorded", run, 0, func(t *testing.T, stream, name string) { given(t, stream, name, run) }, where{epoch: 1}},
		{"nothing-recorded-of-this-epoch", run, 0, func(t *testing.T, stream, name string) {
			begin(t, stream, name, run, true)
			given(t, stream, name, run)
		}, where{epoch: 2}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			in := &fileInput{spec: source.Spec{Stream: tt.what, Name: "speech.wav"}}
			tt.before(t, in.stream(), in.name())
			rt := &service.Runtime{Bus: b, Log: slog.New(slog.DiscardHandler), RunID: tt.run}
			got, err := position(t.Context(), rt, in, &found{own: tt.own})
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
