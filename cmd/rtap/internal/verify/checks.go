package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/wer"
)

// Outcomes of a check.
const (
	passed = "ok"
	failed = "FAIL"
	warned = "warn"
	absent = "none" // there is nothing to check, and there need not be
)

// check is one line of the list.
type check struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Detail string `json:"detail"`
}

// list is what comes of a run.
type list struct {
	OK       bool    `json:"ok"`
	StreamID string  `json:"stream_id"`
	Checks   []check `json:"checks"`

	out    io.Writer
	asJSON bool
}

func (l *list) add(name, status, detail string) {
	l.Checks = append(l.Checks, check{name, status, detail})
	if !l.asJSON {
		fmt.Fprintf(l.out, "%-5s %-18s %s\n", status, name, detail)
	}
}

// result adds a check that has failed where there is an error.
func (l *list) result(name, detail string, err error) bool {
	if err != nil {
		l.add(name, failed, strings.ReplaceAll(err.Error(), "\n", "; "))
		return false
	}
	l.add(name, passed, detail)
	return true
}

func (l *list) finish() error {
	var bad []string
	for _, c := range l.Checks {
		if c.Status == failed {
			bad = append(bad, c.Name)
		}
	}
	l.OK = len(bad) == 0
	if l.asJSON {
		enc := json.NewEncoder(l.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(l); err != nil {
			return fmt.Errorf("writing: %w", err)
		}
	}
	if !l.OK {
		return fmt.Errorf("%d of %d checks failed: %s", len(bad), len(l.Checks), strings.Join(bad, ", "))
	}
	if !l.asJSON {
		fmt.Fprintf(l.out, "\nall %d checks passed\n", len(l.Checks))
	}
	return nil
}

// stages are those without which no audio becomes text.
var stages = []string{"capture", "vad", "stt", "egress"}

// health checks that every stage is there and ready, in one version.
func (l *list) health(ctx context.Context, g gateway) bool {
	code, o, err := g.health(ctx)
	if err != nil {
		return l.result(g.name+" health", "", err)
	}
	if code != http.StatusOK {
		return l.result(g.name+" health", "", fmt.Errorf("/health answers %d, %s: %s", code, o.Status, strings.Join(o.Reasons, "; ")))
	}
	l.add(g.name+" health", passed, fmt.Sprintf("%s, %s, version %s, at %s", o.Status, o.Role, o.Version, g.address(g.http)))
	if g.name != primary {
		return true
	}
	var missing, ready []string
	versions := map[string]bool{}
	for _, stage := range stages {
		n := 0
		for _, p := range o.Stages[stage] {
			versions[p.Version] = true
			if p.Ready {
				n++
			}
		}
		if n == 0 {
			missing = append(missing, stage)
		}
		ready = append(ready, fmt.Sprintf("%s %d", stage, n))
	}
	if len(missing) > 0 {
		return l.result("stages", "", fmt.Errorf("no process of %s is ready", strings.Join(missing, ", ")))
	}
	l.add("stages", passed, "ready: "+strings.Join(ready, ", "))
	l.active(o)
	if len(versions) > 1 {
		l.add("versions", warned, "several run: "+strings.Join(slices.Sorted(maps.Keys(versions)), ", ")+"; right only during a rolling update")
	}
	return true
}

// active looks whether one gateway, and only one, gives finals their numbers.
func (l *list) active(o overview) {
	var active, others []string
	for _, p := range o.Stages["egress"] {
		if p.State == obs.StateActive {
			active = append(active, p.Instance)
		} else {
			others = append(others, p.Instance+" "+p.State)
		}
	}
	detail := strings.Join(active, ", ")
	if len(others) > 0 {
		detail += "; " + strings.Join(others, ", ")
	}
	switch len(active) {
	case 0:
		l.result("active gateway", "", errors.New("no gateway is active, finals are not released"))
	case 1:
		l.add("active gateway", passed, detail)
	default:
		l.add("active gateway", warned, detail+": two say so; right only during a hand-over")
	}
}

// metricNames are those that must be there when a clip has gone through the gateway.
var metricNames = []string{
	"rtap_pipeline_latency_seconds", "rtap_final_latency_seconds", "rtap_frames_processed_total", "rtap_queue_depth",
	"rtap_memory_usage_bytes", "rtap_cpu_usage_percent", "rtap_state_transitions_total", "container_health_status",
}

func (l *list) metrics(ctx context.Context, g gateway) {
	name := g.name + " metrics"
	code, body, err := g.get(ctx, "/metrics")
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("/metrics answers %d", code)
	}
	var families running.Families
	if err == nil {
		families, err = running.Parse(body)
	}
	if err != nil {
		l.result(name, "", err)
		return
	}
	var missing []string
	for _, m := range metricNames {
		if len(families[m].GetMetric()) == 0 {
			missing = append(missing, m)
		}
	}
	if len(missing) > 0 {
		err = fmt.Errorf("/metrics lacks %s", strings.Join(missing, ", "))
	}
	l.result(name, fmt.Sprintf("%d families", len(families)), err)
}

// words compares what came back with what was said; without a text there must be some.
func (l *list) words(finals []final, said string) {
	var texts []string
	for _, f := range finals {
		texts = append(texts, f.text())
	}
	heard := strings.TrimSpace(strings.Join(texts, " "))
	switch {
	case heard == "":
		l.result("words", "", errors.New("no word came back"))
	case said == "":
		l.add("words", passed, heard)
	default:
		errs, words := wer.Errors(said, heard)
		var err error
		if errs > words/5 {
			err = fmt.Errorf("%d of %d words are wrong: %s", errs, words, heard)
		}
		l.result("words", fmt.Sprintf("%d of %d right: %s", words-min(words, errs), words, heard), err)
	}
}

// numbering checks that a feed gave every final once, in order and as the others.
func (l *list) numbering(f *feed, finals, want []final, err error) {
	for i, one := range finals {
		switch {
		case err != nil:
		case one.Rtap.Seq != uint32(i+1):
			err = fmt.Errorf("final %d has the number %d", i+1, one.Rtap.Seq)
		case one.number != 0 && one.number != one.Rtap.Seq:
			err = fmt.Errorf("the third frame of final %d says %d", one.Rtap.Seq, one.number)
		case i < len(want) && one.text() != want[i].text():
			err = fmt.Errorf("final %d is %q, /v1/listen gave %q", i+1, one.text(), want[i].text())
		}
	}
	if err == nil && len(finals) != len(want) {
		err = fmt.Errorf("%d finals came, %d are stored", len(finals), len(want))
	}
	l.result(f.name, fmt.Sprintf("finals 1 to %d, no hole, the same words", len(finals)), err)
}

// same checks that two feeds gave the same bytes.
func (l *list) same(name string, a, b []final) {
	for i := range min(len(a), len(b)) {
		if a[i].raw != b[i].raw {
			l.result(name, "", fmt.Errorf("final %d differs: %.200s and %.200s", i+1, a[i].raw, b[i].raw))
			return
		}
	}
	l.add(name, passed, "the same JSON, byte by byte")
}

// replay asks for everything again, as a client does that was away.
func (l *list) replay(ctx context.Context, g gateway, stream string, want []final) {
	if len(want) == 0 {
		return
	}
	f, err := g.overWebSocket(ctx, stream, url.Values{"from_seq": {"1"}, "log_id": {want[0].Rtap.LogID}})
	if err != nil {
		l.result(g.name+" replay", "", err)
		return
	}
	defer f.stop()
	f.name = g.name + " replay"
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	got, err := f.await(ctx, len(want))
	l.numbering(f, got, want, err)
}

// slow is where the manual's alert is, in milliseconds.
const slow = 200

func (l *list) latency(finals []final) {
	var pipeline, speech []float64
	for _, f := range finals {
		pipeline, speech = append(pipeline, f.Rtap.LatencyMS.Pipeline), append(speech, f.Rtap.LatencyMS.SpeechEndToFinal)
	}
	if len(pipeline) == 0 {
		return
	}
	worst := slices.Max(pipeline)
	status, detail := passed, fmt.Sprintf("pipeline at most %.0f ms, end of speech to text at most %.0f ms", worst, slices.Max(speech))
	if worst > slow {
		status, detail = warned, detail+fmt.Sprintf(": above the %d ms of the alert; `rtap top` and `rtap doctor` say more", slow)
	}
	l.add("latency", status, detail)
}
