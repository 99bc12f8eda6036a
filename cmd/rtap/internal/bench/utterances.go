package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wav"
)

// utterancesOptions of `rtap bench utterances`.
type utterancesOptions struct {
	clips, out string
	streams    int
	duration   time.Duration
	seed       uint64
}

// exported is one stream of what `rtap bench` plays with the same flags and --labels none.
type exported struct {
	Stream     string              `json:"stream"`
	Text       string              `json:"text"`
	Seconds    float64             `json:"seconds"`
	Utterances []exportedUtterance `json:"utterances"`
}

type exportedUtterance struct {
	File    string  `json:"file"`
	Seconds float64 `json:"seconds"`
	End     float64 `json:"end"` // of its speech, in seconds of the stream
}

func parseUtterances(env lifecycle.Env) (o utterancesOptions, err error) {
	fs := flag.NewFlagSet("rtap bench utterances", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings with texts (default what is here)")
	fs.StringVar(&o.out, "out", "", "`folder` to write x.wav and utterances.json into")
	fs.IntVar(&o.streams, "streams", 1, "as rtap bench")
	fs.DurationVar(&o.duration, "duration", 5*time.Minute, "as rtap bench")
	fs.Uint64Var(&o.seed, "seed", 1, "as rtap bench")
	rest, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	if len(rest) > 0 || o.out == "" || o.streams < 1 || o.streams > mostStreams || o.duration <= 0 {
		return o, lifecycle.Usage(fmt.Errorf("rtap bench utterances: bad arguments %v: --out is wanted, --streams 1 to %d, --duration more than 0", rest, mostStreams))
	}
	return o, nil
}

// utterances cuts the recordings that `rtap bench` plays at the ends of speech that count,
// for other recognisers to hear: cut better than any of them could.
func utterances(_ context.Context, env lifecycle.Env) error {
	o, err := parseUtterances(env)
	if err != nil {
		return err
	}
	spoken, _, err := readClips(o.clips, none)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	idle := idleMany
	if o.streams == 1 {
		idle = idleOne
	}
	recordings := material.Make(spoken, nil, material.Options{
		Streams: o.streams, Seed: o.seed, Lead: idle, Stagger: stagger(o.streams), Duration: o.duration,
	})
	var out []exported
	for i := range recordings {
		e, err := export(&recordings[i], o.out)
		if err != nil {
			return err
		}
		out = append(out, e)
	}
	raw, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	if err := os.WriteFile(filepath.Join(o.out, "utterances.json"), append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing the list: %w", err)
	}
	return nil
}

// export writes a recording's utterances: speech and the pauses of less than half a second in
// it, with a quarter of a second around.
func export(rec *material.Recording, dir string) (exported, error) {
	const around = 4000
	path := filepath.Join(dir, rec.Stream+".wav")
	if err := rec.Render(path); err != nil {
		return exported{}, err
	}
	defer func() { _ = os.Remove(path) }()
	a, err := wav.Read(path)
	if err != nil {
		return exported{}, err
	}
	out := exported{Stream: rec.Stream, Seconds: float64(rec.Samples) / 16000}
	var texts []string
	for _, p := range rec.Parts {
		texts = append(texts, p.Text)
	}
	out.Text = strings.Join(texts, " ")
	start := -1
	for _, e := range rec.Ends() {
		if start < 0 {
			start = max(0, e.Start-around)
		}
		if !e.Counts() {
			continue
		}
		pcm := a.PCM[start:min(len(a.PCM), e.Sample+around)]
		name := fmt.Sprintf("%s-%04d.wav", rec.Stream, len(out.Utterances)+1)
		if err := os.WriteFile(filepath.Join(dir, name), wav.Format(wav.Audio{SampleRateHz: a.SampleRateHz, PCM: pcm}), 0o644); err != nil {
			return exported{}, fmt.Errorf("writing an utterance: %w", err)
		}
		out.Utterances = append(out.Utterances, exportedUtterance{File: name, Seconds: float64(len(pcm)) / 16000, End: float64(e.Sample) / 16000})
		start = -1
	}
	return out, nil
}
