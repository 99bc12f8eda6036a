// Package view shows what travels on the bus and what is configured.
package view

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
)

// Printer writes finals to Out as they are stored.
type Printer struct {
	Out  io.Writer
	JSON bool
	// Stream limits to one stream; FromSeq replays from a number on (with Stream).
	Stream  string
	FromSeq uint64

	once  sync.Once
	ready chan struct{}
}

func (p *Printer) init() { p.once.Do(func() { p.ready = make(chan struct{}) }) }

// Await returns when the printer sees every final from now on.
func (p *Printer) Await(ctx context.Context) error {
	p.init()
	select {
	case <-p.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run prints until ctx is done or, where streams are awaited, all of those have ended.
func (p *Printer) Run(ctx context.Context, b *bus.Bus, awaited []string) error {
	p.init()
	var next uint64
	if p.FromSeq == 0 && !bus.Retry(ctx, slog.New(slog.DiscardHandler), "finding the end of the log", func() (err error) {
		next, err = b.NextFinalSequence(ctx)
		return err
	}) {
		return ctx.Err()
	}
	close(p.ready)
	f := follower{printer: p, next: next, awaited: awaited, ended: map[string]bool{}}
	for {
		// What fails here is tried again; the bus logs why.
		if errors.Is(f.follow(ctx, b), errComplete) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// errComplete: every awaited stream has ended.
var errComplete = errors.New("all awaited streams have ended")

type follower struct {
	printer *Printer
	next    uint64 // sequence in the log; 0 for all of it
	log     string // its id, once it is known
	awaited []string
	ended   map[string]bool
}

// follow reads the log until the connection changes (nil), or ends with errComplete.
func (f *follower) follow(ctx context.Context, b *bus.Bus) error {
	again := b.Reconnected()
	id, err := b.LogID(ctx)
	if err != nil {
		return err
	}
	if f.log != "" && f.log != id {
		f.next = 0 // a server that came back empty, or from a backup, counts anew
	}
	f.log = id
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllFinals}}
	if f.printer.Stream != "" {
		cfg.FilterSubjects = []string{bus.Final(f.printer.Stream)}
	}
	if f.next > 0 {
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, f.next
	}
	return b.Follow(ctx, again, bus.StreamTranscripts, cfg, func(m jetstream.Msg) error {
		f.take(m)
		if f.complete() {
			return errComplete
		}
		return nil
	})
}

func (f *follower) take(m jetstream.Msg) {
	if meta, err := m.Metadata(); err == nil {
		f.next = meta.Sequence.Stream + 1
	}
	e, err := wire.ParseEntry(m.Data())
	if err != nil {
		return // a neighbour version's new kind of entry
	}
	f.printer.print(e, m.Data())
	if e.StreamEnd != nil {
		f.ended[e.StreamID()] = true
	}
}

func (f *follower) complete() bool {
	for _, id := range f.awaited {
		if !f.ended[id] {
			return false
		}
	}
	return len(f.awaited) > 0
}

func (p *Printer) print(e wire.Entry, raw []byte) {
	if e.Results == nil || uint64(e.Seq()) < p.FromSeq {
		return
	}
	if p.JSON {
		fmt.Fprintf(p.Out, "%s\n", raw)
		return
	}
	r, l := e.Results, e.Results.GetRtap().GetLatencyMs()
	fmt.Fprintf(p.Out, "[%s #%d %.1f s] %s\n", e.StreamID(), e.Seq(), r.GetStart(), r.GetChannel().GetAlternatives()[0].GetTranscript())
	fmt.Fprintf(p.Out, "    pipeline latency %.0f ms, speech end to final %.0f ms (vad %.0f, queue %.0f, stt %.0f)\n",
		l.GetPipeline(), l.GetSpeechEndToFinal(), l.GetVad(), l.GetQueue(), l.GetStt())
}
