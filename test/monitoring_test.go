package test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	"go.yaml.in/yaml/v3"
)

// prometheus is a real one that scrapes a pipeline.
type prometheus struct{ url string }

// scrape starts Prometheus with the shipped jobs and rules; only where the targets are is
// said here, since there is no DNS for them.
func scrape(t *testing.T, targets map[string][]string) *prometheus {
	t.Helper()
	exe, err := exec.LookPath("prometheus")
	if err != nil {
		exe = filepath.Join(testkit.Root(t), "bin", "tools", "prometheus")
		_, err = os.Stat(exe)
	}
	testkit.RequireNative(t, err)
	raw, err := os.ReadFile(filepath.Join(testkit.Root(t), "monitoring", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var cfg map[string]any
	if err := yaml.Unmarshal(raw, &cfg); err != nil {
		t.Fatal(err)
	}
	cfg["global"] = map[string]string{"scrape_interval": "1s", "evaluation_interval": "1s"}
	cfg["rule_files"] = []string{filepath.Join(testkit.Root(t), "monitoring", "alerts.yml")}
	var jobs []any
	for _, j := range cfg["scrape_configs"].([]any) {
		name := j.(map[string]any)["job_name"].(string)
		if len(targets[name]) > 0 {
			jobs = append(jobs, map[string]any{"job_name": name, "static_configs": []any{map[string]any{"targets": targets[name]}}})
		}
	}
	cfg["scrape_configs"] = jobs
	if raw, err = yaml.Marshal(cfg); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1)[0])
	cmd := exec.CommandContext(t.Context(), exe, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr, "--log.level", "warn")
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	return &prometheus{url: "http://" + addr}
}

// get decodes an answer of the API; an error while Prometheus is still starting.
func (p *prometheus) get(ctx context.Context, path string, query url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, data)
}

// samples is how many series a query gives now that hold a number.
func (p *prometheus) samples(ctx context.Context, expr string) (n int, err error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	err = p.get(ctx, "/api/v1/query", url.Values{"query": {expr}}, &data)
	for _, r := range data.Result {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n, err
}

// queries are those of every panel that asks Prometheus, by what they are for.
func queries(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(testkit.Root(t), "monitoring", "grafana", "dashboards", "rtap-overview.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct {
				RefID      string `json:"refId"`
				Expr       string
				Datasource struct{ Type string }
			}
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, panel := range board.Panels {
		for _, q := range panel.Targets {
			if q.Datasource.Type == "prometheus" {
				out[panel.Title+" "+q.RefID] = strings.NewReplacer("$__rate_interval", "30s", "$stream", ".*").Replace(q.Expr)
			}
		}
	}
	if len(out) < 30 {
		t.Fatalf("only %d queries", len(out))
	}
	return out
}

// addresses asks a running pipeline where its processes answer scrapers.
func addresses(t *testing.T, p *pipeline) map[string][]string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/health", p.http), nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var health struct {
		Stages map[string][]struct {
			Address string `json:"metrics_address"`
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&health); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for stage, processes := range health.Stages {
		if stage == "egress" {
			stage = "rtap-main"
		}
		for _, process := range processes {
			out[stage] = append(out[stage], process.Address)
		}
	}
	return out
}

// TestDashboardsShowARunningPipeline: every query of every panel has an answer, the rules
// can be evaluated, and a change of settings is told.
func TestDashboardsShowARunningPipeline(t *testing.T) {
	p := up(t, "--stt", "2", "--source", "mock?stream=a", "--source", "mock?stream=b")
	ready(t, p)
	prom := scrape(t, addresses(t, p))
	open := queries(t)
	deadline := time.Now().Add(2 * time.Minute)
	for len(open) > 0 && time.Now().Before(deadline) {
		for what, expr := range open {
			if n, err := prom.samples(t.Context(), expr); err == nil && n > 0 {
				delete(open, what)
			}
		}
		time.Sleep(time.Second)
	}
	for what, expr := range open {
		_, err := prom.samples(t.Context(), expr)
		t.Errorf("%s shows nothing: %s (%v)", what, expr, err)
	}
	var evaluated struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := prom.get(t.Context(), "/api/v1/rules", nil, &evaluated); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, g := range evaluated.Groups {
		for _, r := range g.Rules {
			count++
			if r.Health != "ok" {
				t.Errorf("rule %s is %s: %s", r.Name, r.Health, r.LastError)
			}
		}
	}
	if count < 15 {
		t.Errorf("%d rules", count)
	}
	before := firing(t, prom)
	for _, alert := range []string{"RTAPServiceDown", "RTAPStageMissing", "RTAPGatewayGone", "RTAPConfigurationChanged", "RTAPStoreFull"} {
		if slices.Contains(before, alert) {
			t.Errorf("%s fires although nothing is wrong", alert)
		}
	}
	set := exec.CommandContext(t.Context(), rtap(t), "config", "set", "stt.beam_size", "2", "--set", fmt.Sprintf("nats.url=nats://127.0.0.1:%d", p.natsTCP))
	set.Dir = testkit.Root(t)
	if out, err := set.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for !slices.Contains(firing(t, prom), "RTAPConfigurationChanged") {
		if time.Now().After(deadline.Add(30 * time.Second)) {
			t.Fatal("the change of settings was not told")
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// firing lists the alerts that fire now.
func firing(t *testing.T, p *prometheus) (names []string) {
	t.Helper()
	var data struct {
		Alerts []struct {
			Labels map[string]string
			State  string
		}
	}
	if err := p.get(t.Context(), "/api/v1/alerts", nil, &data); err != nil {
		t.Fatal(err)
	}
	for _, a := range data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	return names
}
