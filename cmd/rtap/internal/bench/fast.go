package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/service"
)

// fastTimeout bounds a run that takes what time it needs.
const fastTimeout = 15 * time.Minute

// fast plays recordings as fast as the pipeline takes them, and returns what came of each.
// Only positions in the audio mean anything then.
func fast(ctx context.Context, env lifecycle.Env, flags service.Flags, nats string, recordings []material.Recording) ([]measure.Stream, error) {
	return paced(ctx, env, flags, nats, recordings, false)
}

// paced is the same, in real time if that is wanted.
func paced(ctx context.Context, env lifecycle.Env, flags service.Flags, nats string, recordings []material.Recording, real bool) ([]measure.Stream, error) {
	timeout, pace := fastTimeout, "fast"
	if real {
		pace = "realtime"
		for i := range recordings {
			timeout = max(timeout, fastTimeout+time.Duration(recordings[i].Samples)*time.Second/16000)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	dir, err := rig.Folder("rtap-bench-audio-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var sources []string
	streams := make([]measure.Stream, len(recordings))
	for i := range recordings {
		rec := &recordings[i]
		streams[i].Recording = rec
		path := filepath.Join(dir, rec.Stream+".wav")
		if err := rec.Render(path); err != nil {
			return nil, err
		}
		sources = append(sources, "file:"+path+"?pace="+pace+"&stream="+rec.Stream)
	}
	pipe, err := rig.Start(ctx, rig.Options{Flags: flags, STT: 1, NATS: nats, Sources: sources, Environ: env.Environ, Services: []string{"egress"}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = pipe.Close() }()
	feed, err := rig.Follow(ctx, pipe, false)
	if err != nil {
		return nil, err
	}
	defer feed.Close()
	if err := (ears{feed}).untilEnded(ctx, pipe, len(streams), func() error { return nil }); err != nil {
		return nil, err
	}
	messages := feed.Messages()
	for i := range streams {
		s := &streams[i]
		s.Take(messages)
		if s.Wrong.Holes+s.Wrong.Doubled > 0 {
			return nil, fmt.Errorf("%s: finals are missing or doubled: %+v", s.Recording.Stream, s.Wrong)
		}
	}
	return streams, nil
}

// referenceStreams hear each clip once each, with other pauses and frame phases.
const referenceStreams = 4

// reference hears the clips as fast as it goes, cut at 700 ms of silence, each utterance
// alone, and puts the outcome beside the live one.
func reference(ctx context.Context, env lifecycle.Env, o liveOptions, spoken []material.Clip, r *report.Report) error {
	recordings := material.Make(spoken, nil, material.Options{Streams: referenceStreams, Seed: o.seed, Lead: time.Second, Once: true})
	fmt.Fprintln(env.Stderr, "the same clips cut at 700 ms of silence")
	streams, err := fast(ctx, env, with(o.flags, "vad.hangover_ms=700", "vad.eager_hangover_ms=0", "vad.offset_threshold=0.35",
		"vad.drop_db=0", "vad.tail_ms=64",
		"stt.context=false", "stt.speculate=false", "stt.interim_interval_ms=0"), o.nats, recordings)
	if err != nil {
		return fmt.Errorf("measuring the reference: %w", err)
	}
	a := measure.Rate(streams)
	r.Reference = &report.Reference{Accuracy: a, Difference: measure.Differ(r.Accuracy, a)}
	return nil
}
