package report

import (
	"fmt"
	"strings"
)

// Memory is what the processes hold, in MB by process, each at its most.
type Memory struct {
	// MB is as measured, or with a second report for the streams that are asked for; AllMB is the sum.
	MB    map[string]float64 `json:"memory_mb"`
	AllMB float64            `json:"memory_all_mb"`
	// Adds is what one stream more takes, AddsMB the sum; only with a second report.
	Adds   map[string]float64 `json:"memory_per_stream_mb,omitempty"`
	AddsMB float64            `json:"memory_per_stream_all_mb,omitempty"`
}

// memory of so many streams lies on the line through two reports; with one it is that report's.
func (r *Report) memory(streams int, second *Report) (Memory, error) {
	m := Memory{MB: r.most()}
	if second != nil {
		if err := r.comparable(second); err != nil {
			return m, err
		}
		m.Adds = map[string]float64{}
		more, measured := second.most(), r.Setup.Streams
		for name, mb := range m.MB {
			// One that is not in both grows by nothing that can be told, and none shrinks by a stream: that is noise.
			if there, ok := more[name]; ok {
				m.Adds[name] = max(0, (there-mb)/float64(second.Setup.Streams-measured))
			}
			m.MB[name] = mb + m.Adds[name]*float64(streams-measured)
			m.AddsMB += m.Adds[name]
		}
	}
	for _, mb := range m.MB {
		m.AllMB += mb
	}
	return m, nil
}

// most is what each kind of process used at most.
func (r *Report) most() map[string]float64 {
	out := map[string]float64{}
	for _, p := range r.Processes {
		out[strings.TrimPrefix(p.Name, "rtap-")] += p.RSSMaxMB
	}
	return out
}

// comparable says whether two runs differ in the number of streams and in nothing that takes memory itself.
func (r *Report) comparable(second *Report) error {
	a, b := r.Setup, second.Setup
	switch {
	case a.Streams == b.Streams:
		return fmt.Errorf("both reports are of %d streams: what a stream adds to the memory needs one of another number", a.Streams)
	case a.STT != b.STT || a.Model != b.Model:
		return fmt.Errorf("one report is of %d recognisers with %s, the other of %d with %s: what a stream adds to the memory needs the same in both",
			a.STT, Named(a.Model), b.STT, Named(b.Model))
	}
	return nil
}
