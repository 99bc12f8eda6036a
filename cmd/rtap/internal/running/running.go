// Package running finds the pipeline that runs, for the commands that look into it: its
// processes on this host and over NATS, as far as either can be had.
package running

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/service"
)

// AskFor is how long processes have to say that they are there.
const AskFor = 400 * time.Millisecond

// Options are the flags that say where the pipeline is.
type Options struct {
	Flags service.Flags
	URL   string
}

// Register adds --config, --set and --nats.
func (o *Options) Register(fs *flag.FlagSet) {
	o.Flags.Register(fs)
	fs.StringVar(&o.URL, "nats", "", "`URL` of the server (default nats.url)")
}

// Load reads the configuration, with --nats over it.
func (o *Options) Load(environ []string) (*config.Loaded, error) {
	l, err := o.Flags.Load(environ)
	if err == nil && o.URL != "" {
		l.NATS.URL = o.URL
	}
	return l, err
}

// Pipeline is what was found.
type Pipeline struct {
	Conn    *nats.Conn // nil when the server is not reachable
	Problem error      // why it is not
	Targets []control.Target
}

// Find looks for the server and the processes once.
func Find(ctx context.Context, cfg config.NATS, command string) *Pipeline {
	p := &Pipeline{}
	p.Conn, p.Problem = bus.Dial(cfg, "rtap-"+command)
	p.Targets = control.Find(ctx, p.Conn, cfg.URL, AskFor)
	return p
}

// Close ends the connection.
func (p *Pipeline) Close() {
	if p.Conn != nil {
		p.Conn.Close()
	}
}

// Families are the metrics of one process by name.
type Families map[string]*dto.MetricFamily

// Metrics asks a process for its metrics.
func Metrics(ctx context.Context, t control.Target) (Families, error) {
	raw, err := t.Ask(ctx, control.Metrics, nil)
	if err != nil {
		return nil, err
	}
	return Parse(raw)
}

// Parse reads Prometheus's text form.
func Parse(raw []byte) (Families, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("reading metrics: %w", err)
	}
	return families, nil
}

// Value adds up a gauge or counter over all its labels; false when there is none.
func (f Families) Value(name string) (sum float64, ok bool) {
	for _, m := range f[name].GetMetric() {
		sum, ok = sum+number(m), true
	}
	return sum, ok
}

// Labelled returns the values of a gauge or counter by the value of one label.
func (f Families) Labelled(name, label string) map[string]float64 {
	out := map[string]float64{}
	for _, m := range f[name].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == label {
				out[l.GetValue()] += number(m)
			}
		}
	}
	return out
}

func number(m *dto.Metric) float64 {
	switch {
	case m.Gauge != nil:
		return m.GetGauge().GetValue()
	case m.Counter != nil:
		return m.GetCounter().GetValue()
	default:
		return m.GetUntyped().GetValue()
	}
}
