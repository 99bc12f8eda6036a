// Package dead is `rtap dead`: the segments that were given up, and one more try for them.
package dead

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/cmd/rtap/internal/view"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/wav"
	"github.com/rtap/rtap/pkg/wire"
)

const sampleRateHz = 16000

// options are the flags of all three commands.
type options struct {
	running.Options
	json, all bool
	wav       string
	wait      time.Duration
}

// Commands are those of `rtap dead`.
var Commands = arguments.Subs{
	{Name: "list", Run: func(ctx context.Context, env lifecycle.Env) error { return run(ctx, env, "list") }},
	{Name: "show", Run: func(ctx context.Context, env lifecycle.Env) error { return run(ctx, env, "show") }},
	{Name: "retry", Run: func(ctx context.Context, env lifecycle.Env) error { return run(ctx, env, "retry") }},
}

// Run is `rtap dead`.
func Run(ctx context.Context, env lifecycle.Env) error { return Commands.Run(ctx, env, "rtap dead") }

func run(ctx context.Context, env lifecycle.Env, name string) error {
	var o options
	fs := flag.NewFlagSet("rtap dead "+name, flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.Register(fs)
	switch name {
	case "list":
		fs.BoolVar(&o.json, "json", false, "one JSON object a line")
	case "show":
		fs.StringVar(&o.wav, "wav", "", "write the segment's audio into a `file`")
	case "retry":
		fs.BoolVar(&o.all, "all", false, "every letter that there is")
		fs.DurationVar(&o.wait, "wait", 2*time.Minute, "how long the workers may take for each")
	}
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	numbers, err := o.numbers(name, args)
	if err != nil {
		return err
	}
	cfg, err := o.Load(env.Environ)
	if err != nil {
		return err
	}
	b, stop, err := view.Connect(ctx, cfg.Config, "dead", env.Stderr)
	if err != nil {
		return err
	}
	defer stop()
	switch name {
	case "list":
		return list(ctx, b, env.Stdout, o.json)
	case "show":
		return show(ctx, b, env.Stdout, numbers[0], o.wav)
	default:
		return retry(ctx, b, env, numbers, o)
	}
}

// numbers are the letters that a command line names.
func (o *options) numbers(name string, args []string) (out []uint64, err error) {
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 64)
		if err != nil || n == 0 {
			return nil, lifecycle.Usage(fmt.Errorf("rtap dead %s: %q is no number of a dead letter; `rtap dead list` shows them", name, a))
		}
		out = append(out, n)
	}
	switch {
	case name == "list" && len(out) > 0:
		err = errors.New("rtap dead list takes only flags")
	case name == "show" && len(out) != 1:
		err = errors.New("rtap dead show: want the number of one dead letter; `rtap dead list` shows them")
	case name == "retry" && (len(out) == 0) != o.all:
		err = errors.New("rtap dead retry: want numbers of dead letters (`rtap dead list` shows them), or --all")
	}
	if err != nil {
		return nil, lifecycle.Usage(err)
	}
	return out, nil
}

// line is a letter in `rtap dead list --json`.
type line struct {
	Number       uint64    `json:"number"`
	Stream       string    `json:"stream"`
	Ordinal      uint64    `json:"ordinal"`
	Segment      string    `json:"segment"`
	GivenUp      time.Time `json:"given_up"`
	Reason       string    `json:"reason"`
	Deliveries   uint32    `json:"deliveries"`
	AudioSeconds float64   `json:"audio_seconds"`
}

func lineOf(l bus.DeadLetter) line {
	at := l.Stored
	if t := l.GetGivenUpAt().GetCapturedAt(); t.IsValid() {
		at = t.AsTime()
	}
	job := l.GetJob()
	return line{
		l.Number, job.GetStreamId(), job.GetOrdinal(), job.GetSegmentId(), at.UTC(), l.GetReason(), l.GetDeliveries(),
		float64(len(job.GetPcm())/2) / sampleRateHz,
	}
}

func list(ctx context.Context, b *bus.Bus, out io.Writer, asJSON bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	err := b.DeadLetters(ctx, func(l bus.DeadLetter) error {
		x := lineOf(l)
		if asJSON {
			return json.NewEncoder(out).Encode(x)
		}
		if n++; n == 1 {
			fmt.Fprintln(table, "N\tSTREAM\tORDINAL\tSEGMENT\tGIVEN UP\tAUDIO\tTRIES\tREASON")
		}
		_, err := fmt.Fprintf(table, "%d\t%s\t%d\t%s\t%s\t%.1f s\t%d\t%s\n", x.Number, x.Stream, x.Ordinal, x.Segment,
			x.GivenUp.Format("2006-01-02 15:04:05"), x.AudioSeconds, x.Deliveries, strings.ReplaceAll(x.Reason, "\n", " "))
		return err
	})
	if err != nil {
		return err
	}
	if !asJSON && n == 0 {
		fmt.Fprintln(out, "no segment was given up")
	}
	return table.Flush()
}

// show prints all of a letter but its audio, which it may write into a file.
func show(ctx context.Context, b *bus.Bus, out io.Writer, number uint64, file string) error {
	l, err := b.DeadLetter(ctx, number)
	if err != nil {
		return gone(err)
	}
	pcm := l.GetJob().GetPcm()
	if file != "" {
		samples := make([]float32, len(pcm)/2)
		for i := range samples {
			samples[i] = float32(int16(uint16(pcm[2*i])|uint16(pcm[2*i+1])<<8)) / 32768
		}
		if err := os.WriteFile(file, wav.Format(wav.Audio{SampleRateHz: sampleRateHz, PCM: samples}), 0o600); err != nil {
			return fmt.Errorf("writing the audio: %w", err)
		}
	}
	l.Job.Pcm = nil
	if l.GetJob().GetContext() != nil {
		l.Job.Context.Pcm = nil
	}
	raw, err := wire.MarshalJSON(l.DeadJob)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Number       uint64          `json:"number"`
		AudioSeconds float64         `json:"audio_seconds"`
		Letter       json.RawMessage `json:"letter"`
	}{number, float64(len(pcm)/2) / sampleRateHz, raw})
}

// gone tells a user who named a letter that is not there.
func gone(err error) error {
	if errors.Is(err, bus.ErrNoLetter) {
		return lifecycle.Usage(fmt.Errorf("%w: `rtap dead list` shows those that there are", err))
	}
	return err
}
