// Package channels tells the operator what is found about a source's channels where they
// become one.
package channels

import (
	"log/slog"

	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

// For is how the channels of a stream's source become one by the configuration. What is found
// is told by the log, the metric and an event, once however often the source is read again. For
// one mixer at a time.
func For(rt *service.Runtime, stream string) mono.How {
	t := &teller{rt: rt, stream: stream, log: rt.Log.With("stream_id", stream), told: map[string]string{}}
	return mono.How{Channel: rt.Config.Audio.ChannelNumber(), Tell: t.tell}
}

type teller struct {
	rt     *service.Runtime
	stream string
	log    *slog.Logger
	told   map[string]string // the message of each problem that lasts
}

func (t *teller) tell(f mono.Finding) {
	severity := rtapv1.ServiceEvent_SEVERITY_INFO
	switch {
	case f.Over && t.told[f.Problem] == "", !f.Over && t.told[f.Problem] == f.Message:
		return
	case f.Over:
		delete(t.told, f.Problem)
		t.log.Info("the audio is good again", "problem", f.Problem, "what", f.Message)
	default:
		t.told[f.Problem] = f.Message
		severity = rtapv1.ServiceEvent_SEVERITY_WARNING
		t.log.Warn("the audio is bad", "problem", f.Problem, "value", f.Value, "what_to_do", f.Message)
		t.rt.Metrics.LevelWarnings.WithLabelValues(f.Problem).Inc()
	}
	t.rt.Emit("level", severity, f.Message, func(e *rtapv1.ServiceEvent) {
		e.StreamId, e.Attributes = t.stream, map[string]string{"problem": f.Problem, "value": f.Value}
	})
}
