package top

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// gateway has handed over n finals of 40 ms and m of 240 ms.
func gateway(t *testing.T, n, m int) running.Families {
	t.Helper()
	text := fmt.Sprintf(`# TYPE rtap_pipeline_latency_seconds histogram
rtap_pipeline_latency_seconds_bucket{stream="mic",le="0.025"} 0
rtap_pipeline_latency_seconds_bucket{stream="mic",le="0.05"} %[1]d
rtap_pipeline_latency_seconds_bucket{stream="mic",le="0.2"} %[1]d
rtap_pipeline_latency_seconds_bucket{stream="mic",le="0.3"} %[2]d
rtap_pipeline_latency_seconds_bucket{stream="mic",le="+Inf"} %[2]d
rtap_pipeline_latency_seconds_sum{stream="mic"} 1
rtap_pipeline_latency_seconds_count{stream="mic"} %[2]d
# TYPE rtap_buffer_utilization_ratio gauge
rtap_buffer_utilization_ratio{stage="capture"} 0.25
# TYPE rtap_shed_total counter
rtap_shed_total{reason="draft_busy"} 3
rtap_shed_total{reason="text_silence"} 12
`, n, n+m)
	f, err := running.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func egress(state string, cpuSeconds float64, metrics running.Families) process {
	return process{cpuSeconds: cpuSeconds, metrics: metrics, Process: Process{
		Service: "egress", Instance: "host-" + state, State: state, Ready: true, Reasons: []string{}, MemoryBytes: 30 << 20, UptimeSeconds: 3725,
	}}
}

func queue(name string, messages, last uint64) jetstream.StreamInfo {
	return jetstream.StreamInfo{
		Config: jetstream.StreamConfig{Name: name}, TimeStamp: noon,
		State: jetstream.StreamState{Msgs: messages, Bytes: messages << 10, LastSeq: last, FirstTime: noon.Add(-6400 * time.Millisecond)},
	}
}

func samples(t *testing.T) (before, now sample) {
	server := Server{URL: "nats://127.0.0.1:4222", Version: "2.15.2", RoundTripMS: 0.31, StoredBytes: 20 << 20, MemoryBytes: 1 << 10}
	before = sample{
		at: noon, server: server, pending: map[string]uint64{},
		processes: []process{egress("standby", 1, gateway(t, 1, 1)), egress("active", 10, gateway(t, 100, 0))},
		streams:   []jetstream.StreamInfo{queue("RTAP_JOBS", 0, 40)},
	}
	starting := process{Process: Process{Service: "stt", Instance: "host-9", State: "starting", Model: "m", Reasons: []string{"nats: away"}}}
	now = sample{
		at: noon.Add(2 * time.Second), server: server, pending: map[string]uint64{"RTAP_JOBS": 3},
		processes: []process{starting, egress("standby", 1, gateway(t, 1, 1)), egress("active", 10.5, gateway(t, 100, 100))},
		streams:   []jetstream.StreamInfo{queue("RTAP_JOBS", 3, 50), queue("RTAP_RESULTS", 0, 20)},
	}
	return before, now
}

func TestReport(t *testing.T) {
	before, now := samples(t)
	r := report(before, now, true)
	if got := r.Processes[2].CPU; got != 25 {
		t.Errorf("cpu %v, want 25", got)
	}
	if r.Queues[0].Rate != 5 || r.Queues[0].Pending != 3 || r.Queues[0].OldestSeconds != 6.4 || r.Queues[1].OldestSeconds != 0 {
		t.Errorf("queue %+v", r.Queues[0])
	}
	// Since the last look only finals of 0.2 to 0.3 s came, so half of them lie below 0.25.
	if got := r.Streams[0]; got.Finals != 200 || got.Pipeline.P50 != 250 || math.Abs(got.Pipeline.P95-295) > 1e-9 || got.Final.P50 != -1 {
		t.Errorf("recent: %+v", got)
	}
	if got := report(before, now, false).Streams[0].Pipeline; got.P50 != 50 || math.Abs(got.P95-290) > 1e-9 {
		t.Errorf("since the start: %+v", got)
	}
	if r.Shed["text_silence"] != 24 || r.Buffers["capture"] != 0.25 {
		t.Errorf("shed %v, buffers %v", r.Shed, r.Buffers)
	}
}

func TestRender(t *testing.T) {
	var out bytes.Buffer
	before, now := samples(t)
	report(before, now, true).render(&out)
	(Report{At: noon, Server: Server{Problem: "no servers available"}}).render(&out)
	const golden = "testdata/top.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || out.String() != string(want) {
		t.Errorf("got\n%swant\n%s%v", &out, want, err)
	}
}

func TestQuantileBeyondTheBuckets(t *testing.T) {
	f, err := running.Parse([]byte(`# TYPE h histogram
h_bucket{stream="a",le="1"} 0
h_bucket{stream="a",le="+Inf"} 4
h_sum{stream="a"} 40
h_count{stream="a"} 4
`))
	if err != nil {
		t.Fatal(err)
	}
	if got := quantile(nil, histograms(f["h"])["a"], 0.5); got != 1 {
		t.Errorf("got %v, want the last bound", got)
	}
}

func TestTerminal(t *testing.T) {
	m := &model{ctx: t.Context(), cfg: config.NATS{URL: "nats://127.0.0.1:1"}, interval: time.Second, text: "looking…"}
	before, now := samples(t)
	m.Update(tea.WindowSizeMsg{Width: 40, Height: 12})
	m.Update(looked{before})
	_, again := m.Update(looked{now})
	if again == nil {
		t.Error("no further look")
	}
	lines := strings.Split(m.View().Content, "\n")
	if len(lines) > 12 || !strings.Contains(lines[0], "RTAP  12:00:02") || !strings.HasSuffix(lines[0], "…") || !strings.Contains(lines[len(lines)-2], "more lines") {
		t.Errorf("the picture is\n%s", m.View().Content)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 60 {
			t.Errorf("%d letters on a line: %s", n, line)
		}
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: 'q', Text: "q"}); cmd == nil || cmd() != tea.Quit() {
		t.Error("q does not quit")
	}
	if _, cmd := m.Update(tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}); cmd == nil {
		t.Error("space does not look")
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("RTAP_RUNTIME_DIR", t.TempDir())
	run := func(line string) (int, string) {
		var out bytes.Buffer
		err := Run(t.Context(), lifecycle.Env{Args: strings.Fields(line), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out})
		if err != nil {
			out.WriteString(err.Error())
		}
		return lifecycle.Code(err), out.String()
	}
	cfg := config.Default()
	testkit.Bus(t, cfg)
	if code, out := run("--once --nats " + cfg.NATS.URL); code != 0 || !strings.Contains(out, "RTAP_TRANSCRIPTS") || !strings.Contains(out, fmt.Sprintf("nats      process %d", os.Getpid())) {
		t.Errorf("a server alone: code %d: %s", code, out)
	}
	if code, out := run("--json --nats " + cfg.NATS.URL); code != 0 || !strings.Contains(out, `"service": "nats"`) {
		t.Errorf("json: code %d: %s", code, out)
	}
	if code, out := run("--once --nats nats://127.0.0.1:1"); code != 1 || !strings.Contains(out, "nothing answers") {
		t.Errorf("nothing: code %d: %s", code, out)
	}
	if code, out := run(""); code != 2 || !strings.Contains(out, "--once") {
		t.Errorf("no terminal: code %d: %s", code, out)
	}
	u, err := url.Parse(cfg.NATS.URL)
	if err != nil {
		t.Fatal(err)
	}
	if got := listener(cfg.NATS.URL); got != os.Getpid() {
		t.Errorf("port %s is held by process %s, want this one", u.Port(), strconv.Itoa(got))
	}
}
