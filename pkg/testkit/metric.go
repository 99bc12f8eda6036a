package testkit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// Metric is the value of a series, written as /metrics does: `name{label="value"}`, of a histogram with _sum or
// _count behind the name. It is 0 when there is none.
func Metric(t testing.TB, from prometheus.Gatherer, series string) float64 {
	t.Helper()
	all, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			of := func(suffix string) string {
				if len(labels) == 0 {
					return f.GetName() + suffix
				}
				return f.GetName() + suffix + "{" + strings.Join(labels, ",") + "}"
			}
			switch series {
			case of(""):
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			case of("_sum"):
				return m.GetHistogram().GetSampleSum()
			case of("_count"):
				return float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}
