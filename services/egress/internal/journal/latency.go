package journal

import (
	"context"
	"log/slog"
	"time"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/services/egress/internal/feed"
)

// maxTimes bounds what is kept of one minute; more finals than that are counted only.
const maxTimes = 20000

// minute is what came by since the last line.
type minute struct {
	finals, interims, dropped int
	streams                   map[string]bool
	pipeline, speech, stt     []time.Duration
}

// latencies writes one line for each minute in which something was said.
func (j *Journal) latencies(ctx context.Context) error {
	tick := time.NewTicker(Every)
	defer tick.Stop()
	now := minute{}
	for ctx.Err() == nil {
		full := make(chan struct{})
		queue, cancel := j.hub.Subscribe(1024, func() { close(full) })
		j.follow(ctx, queue, full, tick.C, &now)
		cancel()
	}
	return ctx.Err()
}

// follow takes messages until ctx is done or the queue was full.
func (j *Journal) follow(ctx context.Context, queue <-chan feed.Message, full <-chan struct{}, tick <-chan time.Time, now *minute) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-full:
			now.dropped++
			return
		case m := <-queue:
			now.add(m)
		case <-tick:
			j.summary(now)
			*now = minute{}
		}
	}
}

func (m *minute) add(msg feed.Message) {
	if msg.Results == nil {
		return
	}
	if !msg.Final {
		m.interims++
		return
	}
	m.finals++
	if m.streams == nil {
		m.streams = map[string]bool{}
	}
	if len(m.pipeline) == maxTimes {
		return
	}
	m.streams[msg.Stream] = true
	l := msg.Results.GetRtap().GetLatencyMs()
	m.pipeline = append(m.pipeline, milliseconds(l.GetPipeline()))
	m.speech = append(m.speech, milliseconds(l.GetSpeechEndToFinal()))
	m.stt = append(m.stt, milliseconds(l.GetStt()))
}

func milliseconds(x float64) time.Duration { return time.Duration(x * float64(time.Millisecond)) }

func (j *Journal) summary(m *minute) {
	left := j.takeSuppressed()
	if m.finals == 0 && m.interims == 0 && left == 0 {
		return
	}
	args := []any{"finals", m.finals, "interims", m.interims, "streams", len(m.streams)}
	for _, of := range []struct {
		name  string
		times []time.Duration
	}{{"pipeline", m.pipeline}, {"speech_end_to_final", m.speech}, {"stt", m.stt}} {
		for _, p := range []struct {
			name  string
			share float64
		}{{"p50", 0.5}, {"p95", 0.95}} {
			args = append(args, of.name+"_"+p.name+"_ms", float64(bench.Percentile(of.times, p.share).Round(100*time.Microsecond))/1e6)
		}
	}
	if left > 0 || m.dropped > 0 {
		args = append(args, "lines_left_out", left, "gaps", m.dropped)
	}
	j.rt.Log.Log(context.Background(), slog.LevelInfo, "pipeline latency of the last minute", args...)
}
