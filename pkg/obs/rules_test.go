package obs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/testkit"
	"go.yaml.in/yaml/v3"
)

type rules struct {
	Groups []struct {
		Rules []struct {
			Alert, Record, Expr string
			Labels, Annotations map[string]string
		}
	}
}

func readYAML(t *testing.T, into any, path ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{testkit.Root(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T) (r rules) {
	readYAML(t, &r, "monitoring", "alerts.yml")
	return r
}

// TestEveryAlertIsTestedAndHasARunbook: a case that fires it, one that must not, and a
// place in docs/RUNBOOKS.md to which it points.
func TestEveryAlertIsTestedAndHasARunbook(t *testing.T) {
	fires, silent := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob(filepath.Join(testkit.Root(t), "monitoring", "tests", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tests", err)
	}
	for _, f := range files {
		var file struct {
			Tests []struct {
				Cases []struct {
					Alert  string `yaml:"alertname"`
					Expect []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			}
		}
		readYAML(t, &file, "monitoring", "tests", filepath.Base(f))
		for _, test := range file.Tests {
			in := map[string]bool{}
			for _, c := range test.Cases {
				in[c.Alert] = in[c.Alert] || len(c.Expect) > 0
			}
			for alert, fired := range in {
				fires[alert] = fires[alert] || fired
				silent[alert] = silent[alert] || !fired // in none of the test's moments
			}
		}
	}
	raw, err := os.ReadFile(filepath.Join(testkit.Root(t), "docs", "RUNBOOKS.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			known[r.Alert] = true
			if !fires[r.Alert] || !silent[r.Alert] {
				t.Errorf("%s: a case that fires it: %v, one that must not: %v; want both in monitoring/tests", r.Alert, fires[r.Alert], silent[r.Alert])
			}
			if !strings.Contains(string(raw), "\n## "+r.Alert+"\n") || !strings.HasSuffix(r.Annotations["runbook_url"], "docs/RUNBOOKS.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("%s: docs/RUNBOOKS.md has no entry, or the alert points to %q", r.Alert, r.Annotations["runbook_url"])
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s: labels %v, annotations %v", r.Alert, r.Labels, r.Annotations)
			}
			if severity := strings.ToUpper(r.Labels["severity"][:1]) + r.Labels["severity"][1:]; !strings.Contains(string(raw), fmt.Sprintf("\n## %s\n\n**%s", r.Alert, severity)) {
				t.Errorf("%s: the runbook does not begin with **%s", r.Alert, severity)
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^## (RTAP\w+)$`).FindAllStringSubmatch(string(raw), -1) {
		if !known[m[1]] {
			t.Errorf("docs/RUNBOOKS.md has %s, which is no alert", m[1])
		}
	}
}

// TestEveryMetricThatIsAskedForExists: in alerts and dashboards, under the names that
// processes expose.
func TestEveryMetricThatIsAskedForExists(t *testing.T) {
	m := obs.NewMetrics("egress", "1")
	m.SetConfig(1, t.TempDir())
	descs := make(chan *prometheus.Desc, 1000)
	m.Registry.Describe(descs)
	close(descs)
	have := map[string]bool{"up": true, "ALERTS": true}
	name := regexp.MustCompile(`fqName: "([a-zA-Z_:]+)"`)
	for d := range descs {
		have[name.FindStringSubmatch(d.String())[1]] = true
	}
	asked := map[string]string{} // by whom
	for _, g := range alerts(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				have[r.Record] = true
			}
			asked[r.Expr] = r.Alert + r.Record
		}
	}
	boards, err := filepath.Glob(filepath.Join(testkit.Root(t), "monitoring", "grafana", "dashboards", "*.json"))
	if err != nil || len(boards) == 0 {
		t.Fatal("no dashboards", err)
	}
	for _, f := range boards {
		var board struct {
			Panels []struct {
				Title   string
				Targets []struct{ Expr string }
			}
		}
		readYAML(t, &board, "monitoring", "grafana", "dashboards", filepath.Base(f)) // JSON is YAML
		for _, p := range board.Panels {
			for _, q := range p.Targets {
				asked[q.Expr] = p.Title
			}
		}
	}
	metric := regexp.MustCompile(`\b(rtap[_:][a-z_:0-9]+|container_health_status|process_[a-z_]+|go_[a-z_]+|up)\b`)
	for expr, by := range asked {
		for _, found := range metric.FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(expr, `""`), -1) {
			base := found
			for _, part := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, part)
			}
			if !have[found] && !have[base] {
				t.Errorf("%s asks for %s, which no process has", by, found)
			}
		}
	}
}
