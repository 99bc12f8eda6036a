package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/clock"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
)

const (
	watchEvery  = time.Second
	scrapeEvery = 10 * time.Second
	showEvery   = 15 * time.Second
	// patience is how long after the end of the audio the last final may come.
	patience   = 60 * time.Second
	fsyncTimes = 200
)

// played is all that was seen of one run.
type played struct {
	at        time.Time
	ready     time.Duration
	streams   []measure.Stream
	fsync     []time.Duration
	samples   []rig.Sample
	before    *rig.Metrics // when the first word is spoken
	after     *rig.Metrics
	highest   map[string]float64 // gauges, by what they rose to
	stored    int                // finals in the log
	dead      int
	storage   map[string]rig.Stored
	model     string
	transport []float64
	messages  []rig.Message
}

// dump writes each stream's recording and then every message, one JSON object a line.
func (p *played) dump(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("writing the messages: %w", err)
	}
	enc := json.NewEncoder(f)
	for i := range p.streams {
		s := &p.streams[i]
		err = errors.Join(err, enc.Encode(map[string]any{"stream": s.Recording.Stream, "zero": s.Zero, "parts": s.Recording.Parts}))
	}
	for i := range p.messages {
		err = errors.Join(err, enc.Encode(&p.messages[i]))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the messages: %w", err)
	}
	return nil
}

// firstWord and lastWord are when speech begins in all streams, and when it ends in the first.
func (p *played) firstWord() int64 {
	var last int64
	for i := range p.streams {
		s := &p.streams[i]
		last = max(last, s.Captured(s.Recording.Parts[0].Speech[0].Start))
	}
	return last
}

func (p *played) lastWord() int64 {
	var first int64
	for i := range p.streams {
		s := &p.streams[i]
		ends := s.Recording.Ends()
		if at := s.Captured(ends[len(ends)-1].Sample); first == 0 || at < first {
			first = at
		}
	}
	return first
}

// earliest is when the first stream's first word begins.
func (p *played) earliest() int64 {
	var first int64
	for i := range p.streams {
		s := &p.streams[i]
		if at := s.Captured(s.Recording.Parts[0].Speech[0].Start); first == 0 || at < first {
			first = at
		}
	}
	return first
}

// play runs the pipeline over the recordings in real time.
func play(ctx context.Context, env lifecycle.Env, o liveOptions, recordings []material.Recording) (*played, error) {
	dir, err := rig.Folder("rtap-bench-audio-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	p := &played{at: time.Now(), streams: make([]measure.Stream, len(recordings))}
	if p.fsync, err = rig.Fsync(dir, fsyncTimes); err != nil {
		return nil, err
	}
	paths := make([]string, len(recordings))
	for i := range recordings {
		rec := &recordings[i]
		p.streams[i].Recording = rec
		paths[i] = filepath.Join(dir, rec.Stream+".wav")
		if err := rec.Render(paths[i]); err != nil {
			return nil, err
		}
	}
	pipe, err := rig.Start(ctx, rig.Options{
		Flags: o.flags, STT: o.stt, NATS: o.nats, Sources: p.sources(o, paths), Environ: env.Environ,
		Services: []string{"egress", "stt", "vad", "capture"},
	})
	if err != nil {
		return nil, err
	}
	defer func() { _ = pipe.Close() }()
	p.ready = pipe.Ready
	e, err := p.open(ctx, o, pipe, paths)
	defer e.close()
	if err != nil {
		return nil, err
	}
	if late := clock.Now().GetMonotonicNs() - p.earliest(); late > 0 {
		return nil, fmt.Errorf("the pipeline was ready %v after the first word was spoken: give it more time with --idle", time.Duration(late).Round(time.Millisecond))
	}
	if err := p.listen(ctx, env.Stderr, o, pipe, e); err != nil {
		return nil, err
	}
	return p, p.finish(ctx, env.Stderr, pipe, e)
}

// listen waits until every stream has ended, and watches meanwhile.
func (p *played) listen(ctx context.Context, progress io.Writer, o liveOptions, pipe *rig.Pipeline, e ears) error {
	watching, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	var watchErr error
	wg.Go(func() {
		watchErr = pipe.Watch(watching, watchEvery, func(s rig.Sample) { p.samples = append(p.samples, s) })
	})
	defer wg.Wait()
	defer cancel()
	if err := sleepUntil(ctx, p.earliest()-int64(500*time.Millisecond)); err != nil {
		return err
	}
	var err error
	if p.before, err = pipe.Scrape(ctx); err != nil {
		return err
	}
	var longest int64
	for i := range p.streams {
		longest = max(longest, p.streams[i].Captured(p.streams[i].Recording.Samples))
	}
	scraped, shown := time.Now(), time.Now()
	err = e.untilEnded(ctx, pipe, len(p.streams), func() error {
		now := clock.Now().GetMonotonicNs()
		if now > longest+int64(o.grace) {
			return fmt.Errorf("%d of %d streams have not ended %v after their audio: %s", len(p.streams)-e.ended(), len(p.streams), o.grace, pipe.Log())
		}
		if time.Since(scraped) > o.scrape {
			scraped = time.Now()
			if m, err := pipe.Scrape(ctx); err == nil {
				p.fill(m)
			}
		}
		if time.Since(shown) > showEvery {
			shown = time.Now()
			fmt.Fprintf(progress, "%v of %v, %d messages\n", (time.Duration(now - p.streams[0].Zero)).Round(time.Second),
				(time.Duration(longest - p.streams[0].Zero)).Round(time.Second), len(e.messages()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	cancel()
	wg.Wait()
	return watchErr
}

func (p *played) fill(m *rig.Metrics) {
	if p.highest == nil {
		p.highest = map[string]float64{}
	}
	for key, v := range m.Gauges {
		p.highest[key] = max(p.highest[key], v)
	}
}

// finish takes what is known only at the end.
func (p *played) finish(ctx context.Context, progress io.Writer, pipe *rig.Pipeline, e ears) (err error) {
	if p.after, err = pipe.Scrape(ctx); err != nil {
		return err
	}
	p.fill(p.after)
	if p.storage, err = pipe.Storage(ctx); err != nil {
		return err
	}
	messages := e.messages()
	p.messages = messages
	for i := range p.streams {
		s := &p.streams[i]
		s.Take(messages)
		s.Ended = s.Ended || len(e) == len(p.streams) && e[i].Ended() > 0 // a speaker's own
		last, _, err := pipe.Bus.LastFinal(ctx, s.Recording.Stream)
		if err != nil {
			return err
		}
		if last != nil {
			p.stored += int(last.Seq())
		}
	}
	for i := range messages {
		if name := messages[i].Metadata.ModelInfo.Name; name != "" {
			p.model = name
		}
	}
	p.dead = deaths(p.samples)
	feed, err := rig.Follow(ctx, pipe, false)
	if err != nil {
		return err
	}
	defer feed.Close()
	if p.transport, err = pipe.Transport(ctx, feed); err != nil {
		fmt.Fprintf(progress, "the transport alone was not measured: %v\n", err)
	}
	return nil
}

// deaths counts processes that were there and then were not.
func deaths(samples []rig.Sample) (n int) {
	for i := 1; i < len(samples); i++ {
		now := map[int]bool{}
		for _, p := range samples[i].Processes {
			now[p.PID] = true
		}
		for _, p := range samples[i-1].Processes {
			if !now[p.PID] && p.Name != captureName {
				n++
			}
		}
	}
	return n
}

// captureName is the process that ends when its files have.
const captureName = "rtap-capture"

func sleepUntil(ctx context.Context, at int64) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(at - clock.Now().GetMonotonicNs())):
		return nil
	}
}
