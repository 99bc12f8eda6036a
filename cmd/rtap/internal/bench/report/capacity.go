package report

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Busy is the share of a core that may be used on average, so that finals do not queue.
const Busy = 0.7

// Need is what so many streams take, computed from a report. Rates are per second.
type Need struct {
	Streams int     `json:"streams"`
	Talk    float64 `json:"talk"` // share of the time in which somebody speaks

	// Cores of CPU like the report's, by process and in all, and what to have for them.
	Cores   map[string]float64 `json:"cores"`
	Busy    float64            `json:"cores_busy"`
	Have    float64            `json:"cores_to_have"`
	PerCore float64            `json:"streams_per_core"`
	Each    float64            `json:"cores_per_stream"`
	Memory
	// The server's traffic and disk: KB and GB of 1000 and 1000³ bytes.
	InKB      float64       `json:"nats_in_kb_per_second"`
	OutKB     float64       `json:"nats_out_kb_per_second"`
	DiskGBDay float64       `json:"disk_writes_gb_per_day"`
	AudioMB   float64       `json:"audio_mb"`              // kept for AudioAge
	TextMBDay float64       `json:"transcript_mb_per_day"` // stored
	AudioAge  time.Duration `json:"audio_age"`
}

// ErrCapacity says that a report does not tell enough.
var ErrCapacity = errors.New("the report has no CPU, traffic or storage to compute from")

// Capacity computes what streams need, of which talk is spoken, with audio kept for so long. What a stream adds to the
// memory needs a second report, of another number of streams; nil for none.
func (r *Report) Capacity(streams int, talk float64, audioAge time.Duration, second *Report) (Need, error) {
	n := Need{Streams: streams, Talk: talk, Cores: map[string]float64{}, AudioAge: audioAge}
	measured := float64(r.Setup.Streams)
	if measured == 0 || r.Setup.Seconds == 0 || r.Load.SpeakingCPU == 0 || r.Storage["RTAP_AUDIO"].Messages == 0 {
		return n, ErrCapacity
	}
	spoken := r.Setup.SpeechSeconds / (measured * r.Setup.Seconds)
	// share scales what was measured while spoken of the time was speech.
	share := min(1, talk/max(spoken, 1e-9))
	scale := func(idle, speaking float64) float64 {
		idle = min(idle, speaking)
		return float64(streams) / measured * (idle + (speaking-idle)*share)
	}
	for _, p := range r.Processes {
		name := strings.TrimPrefix(p.Name, "rtap-")
		cores := scale(p.IdleCPU, p.SpeakingCPU) / 100
		n.Cores[name] += cores
		n.Busy += cores
		if p.Name == "nats-server" {
			// Silence is sent and stored as audio, too: nothing is taken off for it.
			n.InKB, n.OutKB = float64(streams)/measured*p.ReadKB, float64(streams)/measured*p.WrittenKB
			n.DiskGBDay = float64(streams) / measured * p.DiskKB * 86400 / 1e6
		}
	}
	n.Have = n.Busy / Busy
	n.PerCore = float64(streams) / n.Have
	n.Each = n.Busy / float64(streams)
	audio := r.Storage["RTAP_AUDIO"]
	const framesPerSecond = 31.25
	n.AudioMB = float64(streams) * float64(audio.Bytes) / float64(audio.Messages) * framesPerSecond * audioAge.Seconds() / 1e6
	text := float64(r.Storage["RTAP_TRANSCRIPTS"].Bytes) / (measured * r.Setup.Seconds)
	n.TextMBDay = float64(streams) * text * share * 86400 / 1e6
	var err error
	n.Memory, err = r.memory(streams, second)
	return n, err
}

// Text prints what is needed.
func (n Need) Text(out io.Writer, r *Report) error {
	fmt.Fprintf(out, "%d streams, in each of which somebody speaks for %.0f %% of the time; computed from %d streams on %s, %s\n\n",
		n.Streams, 100*n.Talk, r.Setup.Streams, Named(r.Machine.CPU), r.At.Format("2006-01-02"))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PROCESS\tCORES\tMB\tMB A STREAM")
	line := func(name string, cores, mb, each float64) {
		adds := "-"
		if n.Adds != nil {
			adds = fmt.Sprintf("%.2f", each)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.0f\t%s\n", name, cores, mb, adds)
	}
	for _, name := range slices.Sorted(maps.Keys(n.MB)) {
		line(name, n.Cores[name], n.MB[name], n.Adds[name])
	}
	line("all", n.Busy, n.AllMB, n.AddsMB)
	if err := w.Flush(); err != nil {
		return err
	}
	if n.Adds == nil {
		fmt.Fprintf(out, "memory is that of %d streams: the report of another number of them, as a second FILE, tells what a stream adds\n", r.Setup.Streams)
	}
	fmt.Fprintln(out)
	fmt.Fprintf(w, "CPU\t%.2f cores busy, %.1f %% of a core a stream; have %.1f, so that %.0f %% are (%.1f streams a core)\n",
		n.Busy, 100*n.Each, n.Have, 100*Busy, n.PerCore)
	fmt.Fprintf(w, "memory\t%.0f MB of all processes, with %d of them recognisers\n", n.AllMB, r.Setup.STT)
	fmt.Fprintf(w, "NATS\t%.1f MB/s in, %.1f MB/s out\n", n.InKB/1000, n.OutKB/1000)
	fmt.Fprintf(w, "disk\t%.1f GB written a day\n", n.DiskGBDay)
	fmt.Fprintf(w, "audio\t%.0f MB for %v (streams.audio)\n", n.AudioMB, n.AudioAge)
	fmt.Fprintf(w, "text\t%.0f MB a day (streams.transcripts)\n", n.TextMBDay)
	return w.Flush()
}
