package bench

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/measure"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/material"
)

// burstOptions say how `rtap bench stress` overloads the pipeline on purpose.
type burstOptions struct {
	factors  []float64     // of the capacity
	burst    time.Duration // how long that many streams talk
	after    time.Duration // how long one stream goes on talking
	recovery time.Duration // how long the last final may be waited for
	capacity int           // streams; 0 to search
}

// probe is the stream that goes on talking when the burst is over: it tells when finals are
// in time again.
const probe = "bench-probe"

// startEach is what the start of one more stream may take, on a slow machine.
const startEach = 300 * time.Millisecond

func (o *burstOptions) register(fs *flag.FlagSet) {
	o.factors = []float64{2, 10}
	fs.Func("factors", "bursts at so many `times` the capacity, comma-separated; none for none (default 2,10)", func(s string) error {
		o.factors = nil
		for one := range strings.SplitSeq(s, ",") {
			if s == none {
				break
			}
			f, err := strconv.ParseFloat(strings.TrimSpace(one), 64)
			if err != nil || f <= 0 || f > 1000 {
				return fmt.Errorf("%q: want numbers such as 2,10", one)
			}
			o.factors = append(o.factors, f)
		}
		return nil
	})
	fs.DurationVar(&o.burst, "burst", 20*time.Second, "how long a burst lasts")
	fs.DurationVar(&o.after, "after", 30*time.Second, "how long one stream talks on behind a burst, to see finals in time again")
	fs.DurationVar(&o.recovery, "recovery", 10*time.Minute, "how long the last final of a burst may be waited for")
	fs.IntVar(&o.capacity, "capacity", 0, "streams that the machine holds, instead of a search")
}

func (o *burstOptions) check() error {
	if o.burst < 5*time.Second || o.after < 0 || o.recovery < time.Second || o.capacity < 0 || o.capacity > mostStreams {
		return fmt.Errorf("rtap bench stress: --burst wants at least 5s, --after no less than 0, --recovery at least 1s, --capacity 0 to %d", mostStreams)
	}
	return nil
}

// overload is what became of one burst.
type overload struct {
	Factor  float64 `json:"factor"`
	Streams int     `json:"streams"` // that talked at once, beside the probe
	Seconds float64 `json:"burst_seconds"`
	Err     string  `json:"error,omitempty"`
	measure.Recovery
	// OldestJob, Jobs and HeldBack are the highest that was seen of rtap_queue_age_seconds, rtap_queue_depth (jobs)
	// and rtap_vad_held_back_streams.
	OldestJob float64 `json:"oldest_job_seconds"`
	Jobs      float64 `json:"jobs_waiting"`
	HeldBack  float64 `json:"streams_held_back"`
	// Shed and ShedDrafts are as in [report.Load].
	Shed       map[string]float64 `json:"shed"`
	ShedDrafts float64            `json:"shed_drafts"`
	MemoryMB   map[string]float64 `json:"memory_max_mb"` // by process
	Loss       report.Loss        `json:"loss"`
	// Gaps are stretches of audio that were not kept, GivenUp segments that ended dead. With holes, finals that were not
	// delivered and streams without an end they make Lost.
	Gaps    float64 `json:"gaps"`
	GivenUp float64 `json:"segments_given_up"`
	Lost    int     `json:"lost"`
	// Unheard are ends of speech, of Expected, without a final: it may be the model that heard nothing.
	Expected int            `json:"ends_of_speech"`
	Unheard  int            `json:"ends_unheard"`
	Report   *report.Report `json:"report,omitempty"`
}

// overloaded lets a factor of the capacity talk at once, and one stream go on.
func (o stressOptions) overloaded(ctx context.Context, env lifecycle.Env, capacity int, factor float64) overload {
	n := min(mostStreams-1, max(1, int(math.Round(factor*float64(max(1, capacity))))))
	out := overload{Factor: factor, Streams: n, Seconds: o.burst.Seconds()}
	l := o.liveOptions
	l.streams, l.grace, l.scrape = n+1, o.recovery, time.Second
	p, err := o.playBurst(ctx, env, l, n)
	if err != nil {
		out.Err = err.Error()
		return out
	}
	out.take(p, p.report(l), o.goal)
	return out
}

func (o stressOptions) playBurst(ctx context.Context, env lifecycle.Env, l liveOptions, n int) (*played, error) {
	spoken, _, err := readClips(o.clips, none)
	if err != nil {
		return nil, err
	}
	if len(spoken) == 0 {
		return nil, errors.New("a burst needs recordings with texts: --clips")
	}
	return play(ctx, env, l, o.material(spoken, n))
}

// material is what n streams say in a burst, and one that goes on behind it.
func (o stressOptions) material(spoken []material.Clip, n int) []material.Recording {
	lead := o.idle + time.Duration(n)*startEach
	recordings := material.Make(spoken, nil, material.Options{Streams: n, Seed: o.seed, Lead: lead, Stagger: time.Second, Duration: o.burst})
	burst := o.burst // the last clips go on for longer, and begin later
	for i := range recordings {
		if ends := recordings[i].Ends(); len(ends) > 0 {
			burst = max(burst, time.Duration(ends[len(ends)-1].Sample)*time.Second/16000-lead)
		}
	}
	on := material.Make(spoken, nil, material.Options{Streams: 1, Seed: o.seed + 1, Lead: lead, Duration: burst + o.after})
	on[0].Stream = probe
	return append(recordings, on...)
}

// take makes the figures.
func (o *overload) take(p *played, r *report.Report, goal float64) {
	var end int64
	for i := range p.streams {
		s := &p.streams[i]
		if ends := s.Recording.Ends(); s.Recording.Stream != probe && len(ends) > 0 {
			end = max(end, s.Captured(ends[len(ends)-1].Sample))
		}
	}
	o.Recovery = measure.Recover(p.streams, end, goal)
	o.OldestJob, o.Jobs, o.HeldBack = p.highest[`rtap_queue_age_seconds{queue="jobs"}`], p.highest[`rtap_queue_depth{queue="jobs"}`], p.highest["rtap_vad_held_back_streams"]
	o.MemoryMB = map[string]float64{}
	for _, s := range p.samples {
		for _, q := range s.Processes {
			if q.RSS > 0 { // else it has just ended
				o.MemoryMB[q.Name] = max(o.MemoryMB[q.Name], float64(q.RSS)/mb)
			}
		}
	}
	o.Report, o.Shed, o.ShedDrafts, o.Loss = r, r.Load.Shed, r.Load.ShedDrafts, r.Loss
	o.Gaps, o.GivenUp = r.Counters[`rtap_errors_total{kind="gap",stage="vad"}`], r.Counters[`rtap_errors_total{kind="dead",stage="stt"}`]
	o.Expected, o.Unheard = r.Ends.Expected, r.Ends.Unheard+r.Ends.TailUnheard
	o.Lost = r.Loss.Holes + r.Loss.Undelivered + r.Loss.Unended + int(o.Gaps) + int(o.GivenUp)
}

// overloadTable prints a line for each burst, and under it what each process used.
func overloadTable(out io.Writer, all []overload) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nOVERLOAD\tSTREAMS\tBURST S\tFINALS\tOLDEST S\tEMPTY AFTER S\tIN TIME AFTER S\tJOBS\tOLDEST JOB S\tHELD BACK\tSHED\tLOST\tDOUBLED\tORDER\tOTHERS %")
	for _, o := range all {
		if o.Err != "" {
			fmt.Fprintf(w, "%gx\t%d\tfailed: %s\n", o.Factor, o.Streams, o.Err)
			continue
		}
		inTime := "not seen"
		if o.InTime != nil {
			inTime = fmt.Sprintf("%.1f", *o.InTime)
		}
		fmt.Fprintf(w, "%gx\t%d\t%.0f\t%d\t%.1f\t%.1f\t%s\t%.0f\t%.1f\t%.0f\t%.0f\t%d\t%d\t%d\t%.0f\n", o.Factor, o.Streams, o.Seconds, o.Finals, o.OldestFinal,
			o.QueueEmpty, inTime, o.Jobs, o.OldestJob, o.HeldBack, o.ShedDrafts, o.Lost, o.Loss.Doubled, o.Loss.OutOfOrder, o.Report.Machine.Others)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	for _, o := range all {
		if o.Err != "" {
			continue
		}
		fmt.Fprintf(out, "%gx: MB at most: %s; given up: %s; %d of %d ends of speech without a final\n", o.Factor,
			counts(o.MemoryMB), counts(o.Shed), o.Unheard, o.Expected)
	}
	return nil
}
