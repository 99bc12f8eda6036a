package bench

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
	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/service"
)

// endpointingOptions of `rtap bench endpointing`.
type endpointingOptions struct {
	flags         service.Flags
	cells         []cell
	phases        []int
	clips, labels string
	nats          string
	json          string
	limit         time.Duration
	seed          uint64
}

// cell is one line of the table: what is set, and what it gave.
type cell struct {
	HangoverMS int     `json:"hangover_ms"`
	Offset     float64 `json:"offset_threshold"`
	Context    bool    `json:"context"`

	Accuracy measure.Accuracy `json:"accuracy"`
	Ends     measure.Ends     `json:"ends"`
	// In ms: closing from the end of speech, in audio time; decoding of that segment; both
	// together, which is when a text could be out; the last two also by hand-made labels.
	Closing     measure.Distribution `json:"closing_ms"`
	Decode      measure.Distribution `json:"decode_ms"`
	TextOut     measure.Distribution `json:"text_out_ms"`
	ClosingHand measure.Distribution `json:"closing_hand_ms"`
	TextOutHand measure.Distribution `json:"text_out_hand_ms"`
	Seconds     float64              `json:"seconds"` // that it took
}

// endpointingResult is what --json writes.
type endpointingResult struct {
	At       time.Time      `json:"at"`
	Version  string         `json:"version"`
	Machine  report.Machine `json:"machine"`
	Phases   []int          `json:"phases_ms"`
	Settings []string       `json:"settings"`
	Cells    []cell         `json:"cells"`
	// Left are lines for which there was no time.
	Left int `json:"left"`
}

func parseEndpointing(env lifecycle.Env) (o endpointingOptions, err error) {
	fs := flag.NewFlagSet("rtap bench endpointing", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	o.flags.Register(fs)
	hangovers := fs.String("hangovers", "96,128,160,192,320,800", "vad.hangover_ms, comma-separated")
	offsets := fs.String("offsets", "0.35,0.5,0.7,0.9", "vad.offset_threshold, comma-separated")
	contexts := fs.String("contexts", "on,off", "stt.context, comma-separated: on hears a segment as the continuation of those before it, off alone")
	phases := fs.String("phases", "0,8,16,24", "ms by which the audio is moved against the frames; each is heard once")
	fs.StringVar(&o.clips, "clips", "", "`folder` of recordings with texts (default what is here)")
	fs.StringVar(&o.labels, "labels", "", "`folder` of recordings with hand-made labels; none for none (default vad/ in the folder of clips)")
	fs.StringVar(&o.nats, "nats", "", "`URL` of a running server, instead of one of our own")
	fs.StringVar(&o.json, "json", "", "write everything to a `file` as JSON; - is standard output, in place of the table")
	fs.DurationVar(&o.limit, "limit", time.Hour, "begin no more lines after so long")
	fs.Uint64Var(&o.seed, "seed", 1, "of the pauses between clips")
	rest, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return o, err
	}
	h, err1 := numbers(*hangovers)
	f, err2 := numbers(*offsets)
	p, err3 := numbers(*phases)
	c, err4 := switches(*contexts)
	if err := errors.Join(err1, err2, err3, err4); err != nil || len(rest) > 0 {
		return o, lifecycle.Usage(fmt.Errorf("rtap bench endpointing: bad arguments %v: %w", rest, err))
	}
	for _, x := range p {
		o.phases = append(o.phases, int(x))
	}
	for _, on := range c {
		for _, offset := range f {
			for _, hangover := range h {
				o.cells = append(o.cells, cell{HangoverMS: int(hangover), Offset: offset, Context: on})
			}
		}
	}
	return o, nil
}

func numbers(list string) (out []float64, err error) {
	for text := range strings.SplitSeq(list, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || x < 0 {
			return nil, fmt.Errorf("%q in %q: want a number from 0", text, list)
		}
		out = append(out, x)
	}
	return out, nil
}

func switches(list string) (out []bool, err error) {
	for text := range strings.SplitSeq(list, ",") {
		switch strings.TrimSpace(text) {
		case "on":
			out = append(out, true)
		case "off":
			out = append(out, false)
		default:
			return nil, fmt.Errorf("%q in %q: want on or off", text, list)
		}
	}
	return out, nil
}

// endpointing measures what closes segments: pauses, thresholds and context.
func endpointing(ctx context.Context, env lifecycle.Env) error {
	o, err := parseEndpointing(env)
	if err != nil {
		return err
	}
	spoken, labelled, err := readClips(o.clips, o.labels)
	if err != nil {
		return err
	}
	res := endpointingResult{At: time.Now(), Version: env.Version, Machine: thisMachine(), Phases: o.phases, Settings: o.flags.Set}
	began := time.Now()
	for i, c := range o.cells {
		if time.Since(began) > o.limit {
			res.Left = len(o.cells) - i
			break
		}
		fmt.Fprintf(env.Stderr, "%d of %d: hangover %d ms, offset %g, context %s\n", i+1, len(o.cells), c.HangoverMS, c.Offset, report.OnOff(c.Context))
		if err := c.measure(ctx, env, o, spoken, labelled); err != nil {
			return fmt.Errorf("hangover %d ms, offset %g: %w", c.HangoverMS, c.Offset, err)
		}
		res.Cells = append(res.Cells, c)
	}
	if o.json != "" {
		raw, err := json.MarshalIndent(res, "", " ")
		if err != nil {
			return fmt.Errorf("writing: %w", err)
		}
		if o.json == "-" {
			_, err = env.Stdout.Write(append(raw, '\n'))
			return err
		}
		if err := os.WriteFile(o.json, append(raw, '\n'), 0o644); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	return endpointingTable(env.Stdout, res)
}

// measure plays every clip once at every phase.
func (c *cell) measure(ctx context.Context, env lifecycle.Env, o endpointingOptions, spoken, labelled []material.Clip) error {
	began := time.Now()
	var recordings []material.Recording
	for _, phase := range o.phases {
		rec := material.Make(spoken, labelled, material.Options{
			Streams: 1, Seed: o.seed, Lead: time.Second + time.Duration(phase)*time.Millisecond, Once: true,
		})[0]
		rec.Stream = fmt.Sprintf("phase-%d", phase)
		recordings = append(recordings, rec)
	}
	flags := c.settings(o.flags)
	loaded, err := flags.Load(env.Environ)
	if err != nil {
		return err
	}
	// A draft is made in its own time: audio that is played faster than it was spoken is over before it can say anything.
	streams, err := paced(ctx, env, flags, o.nats, recordings, loaded.STT.Speculate)
	if err != nil {
		return err
	}
	c.Accuracy, c.Ends = measure.Rate(streams), measure.CountEnds(streams)
	var closing, decode, out, closingHand, outHand []float64
	for _, e := range c.Ends.TTFS {
		closing, decode, out = append(closing, e.Closing), append(decode, e.Decode), append(out, e.Closing+e.Decode)
		if e.Hand {
			closingHand, outHand = append(closingHand, e.Closing), append(outHand, e.Closing+e.Decode)
		}
	}
	c.Closing, c.Decode, c.TextOut = measure.Distribute(closing), measure.Distribute(decode), measure.Distribute(out)
	c.ClosingHand, c.TextOutHand = measure.Distribute(closingHand), measure.Distribute(outHand)
	c.Seconds = time.Since(began).Seconds()
	return nil
}

// settings of a line: what the table is of, over what the user set, over no drafts.
func (c *cell) settings(f service.Flags) service.Flags {
	f.Set = append([]string{"stt.interim_interval_ms=0", "stt.speculate=false"}, f.Set...)
	return with(f, fmt.Sprintf("vad.hangover_ms=%d", c.HangoverMS), fmt.Sprintf("vad.offset_threshold=%g", c.Offset),
		fmt.Sprintf("vad.utterance_end_ms=%d", max(1000, c.HangoverMS)), fmt.Sprintf("stt.context=%t", c.Context))
}

const endpointingLegend = `WER: errors per 100 words, with the range by recordings drawn. Closing: ms of audio from the end of speech to the closing of its
segment, p50 / p95, before silences of half a second or more. Text out: closing and decoding. By hand: by hand-made labels alone.
Eager: closed by a draft's sentence end. Inside: segments that silence, or that, closed while labelled speech went on.
Lost: ends of speech without a text. Late: closed after speech went on.
`

func endpointingTable(out io.Writer, res endpointingResult) error {
	fmt.Fprintf(out, "%s: %d cores, %d usable; audio at %v ms against the frames; settings %v\n", report.Named(res.Machine.CPU), res.Machine.Cores, res.Machine.Usable, res.Phases, res.Settings)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nHANGOVER\tOFFSET\tCONTEXT\tWER %\tERRORS\tCLOSING\tBY HAND\tDECODING\tTEXT OUT\tBY HAND\tSEGMENTS\tEAGER\tINSIDE\tFORCED\tLATE\tLOST")
	for _, c := range res.Cells {
		a, e := c.Accuracy, c.Ends
		fmt.Fprintf(w, "%d\t%g\t%s\t%.1f (%.1f-%.1f)\t%d of %d\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d of %d\n",
			c.HangoverMS, c.Offset, report.OnOff(c.Context), 100*a.Rate, 100*a.Range[0], 100*a.Range[1], a.Errors, a.Words, middle(c.Closing), middle(c.ClosingHand),
			middle(c.Decode), middle(c.TextOut), middle(c.TextOutHand), e.Segments, e.Eager, e.Inside, e.Forced, e.RunOn, e.Unheard+e.TailUnheard, e.Expected)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	fmt.Fprintf(out, "\n%s", endpointingLegend)
	if res.Left > 0 {
		fmt.Fprintf(out, "%d lines were left out: --limit\n", res.Left)
	}
	return nil
}

func middle(d measure.Distribution) string {
	if d.N == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f / %.0f", d.P50, d.P95)
}
