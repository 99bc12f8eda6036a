package bench

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/service"
)

// liveOptions of `rtap bench`.
type liveOptions struct {
	flags             service.Flags
	streams, stt      int
	duration          time.Duration
	utterances        int
	interims          bool
	idle              time.Duration
	clips, labels     string
	seed              uint64
	via, nats         string
	json, html, old   string
	markdown          string
	messages          string
	reference, strict bool
	// grace is how long after the end of the audio the last final may come; scrape is how often metrics are read.
	grace, scrape time.Duration
}

const (
	viaFile   = "file"
	viaListen = "listen"
	none      = "none"
	// unheard is one in how many labelled ends of speech may have no time to give, because what was said there
	// is mumbled or far away; they are played on top.
	unheard = 6
	// idleOne is how long one stream is silent at first, so that what it costs can be told;
	// idleMany is what the start takes anyway.
	idleOne, idleMany = 30 * time.Second, 8 * time.Second
)

// mostStreams bounds what one machine is asked to play.
const mostStreams = 256

// parseLive reads the flags of `rtap bench`, or of a command that is a short form of it
// with other defaults.
func parseLive(env lifecycle.Env, name string, defaults liveOptions) (o liveOptions, err error) {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.flags.Register(fs)
	fs.IntVar(&o.streams, "streams", 1, "always-talking streams")
	fs.IntVar(&o.stt, "stt", 1, "number of stt processes")
	fs.DurationVar(&o.duration, "duration", defaults.duration, "how long each stream talks (default 5m, or until --utterances)")
	fs.IntVar(&o.utterances, "utterances", 0, "ends of speech of all streams together that the figures are to rest on")
	fs.BoolVar(&o.interims, "interims", true, "with preliminary texts")
	fs.DurationVar(&o.idle, "idle", defaults.idle, "silence before the first word (default 30s for one stream, 8s for more)")
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings with texts: manifest.json, or x.wav with x.txt (default what is here)")
	fs.StringVar(&o.labels, "labels", "", "`folder` of recordings x.wav with hand-made labels x.csv; none for none (default vad/ in the folder of clips)")
	fs.Uint64Var(&o.seed, "seed", 1, "of the order of clips and the pauses between them")
	fs.StringVar(&o.via, "via", viaFile, "file: capture plays the recordings; listen: WebSocket clients send them to /v1/listen")
	fs.StringVar(&o.nats, "nats", "", "`URL` of a running server, instead of one of our own")
	fs.StringVar(&o.json, "json", "", "write everything to a `file` as JSON; - is standard output, in place of the tables")
	fs.StringVar(&o.html, "html", "", "write a page with histograms to a `file`")
	fs.StringVar(&o.markdown, "markdown", "", "write the main tables to a `file`, for documents")
	fs.StringVar(&o.old, "compare", "", "`file` that --json wrote earlier: say what got better or worse")
	fs.StringVar(&o.messages, "messages", "", "write what came, and what was played, to a `file`: one JSON object a line")
	fs.BoolVar(&o.reference, "reference", defaults.reference, "also hear the clips cut at 700 ms, each utterance alone, to judge the accuracy by")
	fs.BoolVar(&o.strict, "strict", false, "exit code 1 when a goal is missed")
	rest, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	return o, lifecycle.Usage(o.settle(rest))
}

// settle checks the flags and fills in what depends on others.
func (o *liveOptions) settle(rest []string) error {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("rtap bench: unexpected %v", rest)
	case o.streams < 1 || o.streams > mostStreams || o.stt < 1 || o.utterances < 0 || o.duration < 0 || o.idle < 0:
		return fmt.Errorf("rtap bench: --streams wants 1 to %d, --stt at least 1, the others no less than 0", mostStreams)
	case o.via != viaFile && o.via != viaListen:
		return fmt.Errorf("rtap bench: --via %q: want file or listen", o.via)
	}
	o.grace, o.scrape = patience, scrapeEvery
	if o.duration == 0 && o.utterances == 0 {
		o.duration = 5 * time.Minute
	}
	if o.idle == 0 {
		if o.idle = idleMany; o.streams == 1 {
			o.idle = idleOne
		}
	}
	if !o.interims {
		o.flags.Set = append(o.flags.Set, "stt.interim_interval_ms=0")
	}
	return nil
}

// folders finds the clips and the labelled recordings that were not named.
func folders(clips, labels string) (string, string, error) {
	if clips == "" {
		root, err := native.Root()
		if err != nil {
			return "", "", lifecycle.Usage(fmt.Errorf("%w, or name a folder with --clips", err))
		}
		clips = filepath.Join(root, "audio")
		if shared := filepath.Join(root, "..", "..", "shared", "audio"); exists(filepath.Join(shared, "manifest.json")) {
			clips = shared
		}
	}
	if labels == "" {
		if labels = filepath.Join(clips, "vad"); !exists(labels) {
			labels = none
		}
	}
	return clips, labels, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// readClips reads both kinds of recordings.
func readClips(clips, labels string) (spoken, labelled []material.Clip, err error) {
	if clips, labels, err = folders(clips, labels); err != nil {
		return nil, nil, err
	}
	if spoken, err = material.Read(clips); err != nil {
		return nil, nil, lifecycle.Usage(err)
	}
	if labels != none {
		if labelled, err = material.ReadLabelled(labels); err != nil {
			return nil, nil, lifecycle.Usage(err)
		}
	}
	return spoken, labelled, nil
}

// live is `rtap bench`: the whole pipeline, in real time.
func live(ctx context.Context, env lifecycle.Env) error {
	return whole(ctx, env, "rtap bench", liveOptions{reference: true})
}

// short is `rtap bench latency`: a minute of one stream.
func short(ctx context.Context, env lifecycle.Env) error {
	return whole(ctx, env, "rtap bench latency", liveOptions{duration: time.Minute, idle: idleMany})
}

// whole measures the pipeline and tells of it.
func whole(ctx context.Context, env lifecycle.Env, name string, defaults liveOptions) error {
	o, err := parseLive(env, name, defaults)
	if err != nil {
		return err
	}
	var old *report.Report
	if o.old != "" {
		if old, err = readReport(o.old); err != nil {
			return lifecycle.Usage(err)
		}
	}
	r, err := run(ctx, env, o)
	if err != nil {
		return err
	}
	return deliver(env, o, r, old)
}

// run measures once.
func run(ctx context.Context, env lifecycle.Env, o liveOptions) (*report.Report, error) {
	loaded, err := o.flags.Load(env.Environ)
	if err != nil {
		return nil, err
	}
	spoken, labelled, err := readClips(o.clips, o.labels)
	if err != nil {
		return nil, err
	}
	recordings := material.Make(spoken, labelled, material.Options{
		Streams: o.streams, Seed: o.seed, Lead: o.idle, Stagger: stagger(o.streams), Duration: o.duration, Ends: o.utterances + o.utterances/unheard,
	})
	p, err := play(ctx, env, o, recordings)
	if err != nil {
		return nil, err
	}
	if o.messages != "" {
		if err := p.dump(o.messages); err != nil {
			return nil, err
		}
	}
	r := p.report(o)
	r.Version, r.Setup.Profile = env.Version, loaded.Profile
	r.Setup.Clips, r.Setup.Labelled = len(spoken), len(labelled)
	if o.reference {
		if err := reference(ctx, env, o, spoken, r); err != nil {
			return nil, err
		}
	}
	r.Judge()
	return r, nil
}

func stagger(streams int) time.Duration {
	if streams == 1 {
		return 0
	}
	return 3 * time.Second
}

// deliver prints and writes what was asked for.
func deliver(env lifecycle.Env, o liveOptions, r, old *report.Report) error {
	if o.json != "" {
		raw, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		raw = append(raw, '\n')
		if o.json == "-" {
			_, err = env.Stdout.Write(raw)
		} else {
			err = os.WriteFile(o.json, raw, 0o644)
		}
		if err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	for path, write := range map[string]func(io.Writer) error{o.html: r.Page, o.markdown: r.Markdown} {
		if path == "" {
			continue
		}
		f, err := os.Create(path)
		if err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return fmt.Errorf("writing the report: %w", err)
		}
	}
	if o.json != "-" {
		if err := r.Text(env.Stdout); err != nil {
			return err
		}
	}
	if old != nil {
		out := env.Stdout
		if o.json == "-" {
			out = env.Stderr
		}
		if err := report.Compare(out, old, r); err != nil {
			return err
		}
	}
	if n := r.Missed(); o.strict && n > 0 {
		return fmt.Errorf("%d goals are missed", n)
	}
	return nil
}

func readReport(path string) (*report.Report, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the earlier report: %w", err)
	}
	r := &report.Report{}
	if err := json.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Schema != report.Schema {
		return nil, fmt.Errorf("%s is of version %d, this program compares version %d", path, r.Schema, report.Schema)
	}
	return r, nil
}

// settings that a command adds must not reach the slice that it was given.
func with(f service.Flags, set ...string) service.Flags {
	f.Set = append(slices.Clone(f.Set), set...)
	return f
}
