package rig

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/procfs"
)

// Memory is how much each process has in memory, in MB.
func (r *Rig) Memory() map[string]int {
	out := map[string]int{}
	for name, p := range r.Processes {
		proc, err := procfs.NewProc(p.PID())
		if err != nil {
			continue // it does not run
		}
		if st, err := proc.Stat(); err == nil {
			out[name] = st.ResidentMemory() >> 20
		}
	}
	return out
}

// byLoad are the reasons for which a draft is given up when there is more to do than time.
var byLoad = []string{"draft_load", "draft_busy", "draft_stale", "draft_preempted"}

// ShedDrafts is how many drafts each worker that answers has given up for want of time since it was started.
func (r *Rig) ShedDrafts(ctx context.Context) (map[string]float64, error) {
	all, err := r.Bus.Statuses(ctx, 500*time.Millisecond)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for _, s := range all {
		if s.GetService() != "stt" {
			continue
		}
		one, err := shedDrafts(ctx, s.GetMetricsAddress())
		if err != nil {
			return nil, fmt.Errorf("asking %s for its metrics: %w", s.GetInstance(), err)
		}
		out[s.GetInstance()] = one
	}
	return out, nil
}

func shedDrafts(ctx context.Context, address string) (n float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(res.Body)
	if err != nil {
		return 0, err
	}
	for _, m := range families["rtap_shed_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			if l.GetName() == "reason" && slices.Contains(byLoad, l.GetValue()) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n, nil
}
