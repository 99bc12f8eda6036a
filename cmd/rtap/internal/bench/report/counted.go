package report

import (
	"slices"
	"strings"
)

// Draft says of a reason of rtap_shed_total that a draft was given up, or a draft's text: preliminary work, which goes
// before any final does.
func Draft(reason string) bool {
	return strings.HasPrefix(reason, "draft_") || reason == "interim_not_sent"
}

// dropped says of a reason that a text was given up: a guard held it for none.
func dropped(reason string) bool { return strings.HasPrefix(reason, "text_") }

// shed is what was given up for some reasons.
func (l Load) shed(which func(reason string) bool) map[string]float64 {
	out := map[string]float64{}
	for reason, n := range l.Shed {
		if which(reason) {
			out[reason] = n
		}
	}
	return out
}

// counted are the pipeline's counters of a name that grew, by the values of their labels, the last label first: "vad gap"
// of rtap_errors_total{kind="gap",stage="vad"}.
func (r *Report) counted(name string) map[string]float64 {
	out := map[string]float64{}
	for key, n := range r.Counters {
		labels, ok := strings.CutPrefix(key, name+"{")
		if !ok || n <= 0 {
			continue
		}
		var values []string
		for label := range strings.SplitSeq(strings.TrimSuffix(labels, "}"), ",") {
			_, value, _ := strings.Cut(label, "=")
			values = append(values, strings.Trim(value, `"`))
		}
		slices.Reverse(values)
		out[strings.Join(values, " ")] = n
	}
	return out
}
