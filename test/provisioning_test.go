package test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"go.yaml.in/yaml/v3"
)

func monitoring(t *testing.T, path ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{testkit.Root(t)}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// composePorts is what each service of the compose stack publishes, port by port.
func composePorts(t *testing.T) map[string]string {
	t.Helper()
	var compose struct {
		Services map[string]struct{ Ports []string }
	}
	if err := yaml.Unmarshal(monitoring(t, "docker-compose.yml"), &compose); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for name, s := range compose.Services {
		for _, p := range s.Ports {
			out[name+p[strings.LastIndex(p, ":"):]] = name
		}
	}
	return out
}

// TestGrafanaFindsItsData: nothing here can start Grafana, Loki or Alloy, so at least what
// names what else must fit together.
func TestGrafanaFindsItsData(t *testing.T) {
	services := composePorts(t)
	var provisioned struct {
		Datasources []struct{ UID, Type, URL string }
	}
	if err := yaml.Unmarshal(monitoring(t, "monitoring", "grafana", "provisioning", "datasources", "rtap.yaml"), &provisioned); err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	for _, d := range provisioned.Datasources {
		types[d.UID] = d.Type
		if u, err := url.Parse(d.URL); err != nil || services[u.Host] == "" || strings.Contains(d.URL, "$") {
			t.Errorf("%s: no service of the stack is at %q", d.UID, d.URL)
		}
	}
	var board struct {
		Panels []struct {
			Title      string
			Datasource struct{ Type, UID string }
			Targets    []struct{ Datasource struct{ Type, UID string } }
		}
	}
	if err := json.Unmarshal(monitoring(t, "monitoring", "grafana", "dashboards", "rtap-overview.json"), &board); err != nil {
		t.Fatal(err)
	}
	asked := map[string]int{}
	for _, p := range board.Panels {
		for _, q := range p.Targets {
			d := q.Datasource
			asked[d.Type]++
			if types[d.UID] != d.Type || d.Type == "" {
				t.Errorf("%s asks %q of type %q, which is not provisioned", p.Title, d.UID, d.Type)
			}
		}
	}
	if asked["prometheus"] < 30 || asked["loki"] < 1 {
		t.Errorf("queries: %v", asked)
	}
	push := regexp.MustCompile(`url = "http://([^/"]+)/loki/api/v1/push"`).FindSubmatch(monitoring(t, "monitoring", "alloy", "config.alloy"))
	if push == nil || services[string(push[1])] != "loki" {
		t.Errorf("alloy sends its lines to %s", push)
	}
	var loki struct {
		Server struct {
			Port int `yaml:"http_listen_port"`
		}
		Compactor struct {
			Retention bool   `yaml:"retention_enabled"`
			Requests  string `yaml:"delete_request_store"`
		}
	}
	if err := yaml.Unmarshal(monitoring(t, "monitoring", "loki", "loki.yaml"), &loki); err != nil {
		t.Fatal(err)
	}
	// With retention Loki refuses to start where it has no place for requests to delete.
	if loki.Server.Port != 3100 || loki.Compactor.Retention && loki.Compactor.Requests == "" {
		t.Errorf("loki: %+v", loki)
	}
}
