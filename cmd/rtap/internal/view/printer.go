// Package view shows what travels on the bus and what is configured.
package view

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Run prints until ctx is done or, with ends above 0, that many streams have ended.
func (p *Printer) Run(ctx context.Context, b *bus.Bus, ends int) error {
	p.init()
	next, started := uint64(0), false
	for p.FromSeq == 0 && next == 0 {
		var err error
		if next, err = b.NextFinalSequence(ctx); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	for {
		cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllFinals}}
		if p.Stream != "" {
			cfg.FilterSubjects = []string{bus.Final(p.Stream)}
		}
		if next > 0 {
			cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, next
		}
		c, err := b.JS().OrderedConsumer(ctx, bus.StreamTranscripts, cfg)
		if err == nil {
			if !started {
				started = true
				close(p.ready)
			}
			err = p.follow(ctx, c, &next, &ends)
		}
		if errors.Is(err, errDone) {
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

var errDone = errors.New("all streams have ended")

func (p *Printer) follow(ctx context.Context, c jetstream.Consumer, next *uint64, ends *int) error {
	limited := *ends > 0
	for ctx.Err() == nil {
		m, err := c.Next(jetstream.FetchMaxWait(2 * time.Second))
		if errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded) {
			continue
		}
		if err != nil {
			return err
		}
		if meta, err := m.Metadata(); err == nil {
			*next = meta.Sequence.Stream + 1
		}
		e, err := wire.ParseEntry(m.Data())
		if err != nil {
			continue
		}
		p.print(e, m.Data())
		if limited && e.StreamEnd != nil {
			if *ends--; *ends == 0 {
				return errDone
			}
		}
	}
	return ctx.Err()
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
