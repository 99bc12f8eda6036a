package access_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/services/egress/internal/access"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGate(t *testing.T) {
	const here = "http://gateway.example:5802"
	for name, tt := range map[string]struct {
		token   string
		allowed []string
		url     string
		header  map[string]string
		method  string
		code    int
		cors    string
	}{
		"open to programs":         {code: 200},
		"no token":                 {token: "secret", code: 401},
		"wrong token":              {token: "secret", header: map[string]string{"Authorization": "Bearer other"}, code: 401},
		"another scheme":           {token: "secret", header: map[string]string{"Authorization": "secret"}, code: 401},
		"token in a header":        {token: "secret", header: map[string]string{"Authorization": "Bearer secret"}, code: 200},
		"token in the query":       {token: "secret", url: "?token=secret", code: 200},
		"wrong token in the query": {token: "secret", url: "?token=", code: 401},
		"a wrong header counts":    {token: "secret", url: "?token=secret", header: map[string]string{"Authorization": "Bearer x"}, code: 401},
		"own page":                 {header: map[string]string{"Origin": here}, code: 200, cors: here},
		"foreign page":             {header: map[string]string{"Origin": "https://elsewhere.example"}, code: 403},
		"a page of another port":   {header: map[string]string{"Origin": "http://gateway.example:9999"}, code: 403},
		"a sandboxed page":         {header: map[string]string{"Origin": "null"}, code: 403},
		"allowed page": {allowed: []string{"https://elsewhere.example"}, header: map[string]string{"Origin": "https://elsewhere.example"},
			code: 200, cors: "https://elsewhere.example"},
		"every page":         {allowed: []string{"*"}, header: map[string]string{"Origin": "https://any.example"}, code: 200, cors: "https://any.example"},
		"asked before":       {token: "secret", allowed: []string{"*"}, method: http.MethodOptions, header: map[string]string{"Origin": "https://any.example"}, code: 204, cors: "https://any.example"},
		"asked from outside": {token: "secret", method: http.MethodOptions, header: map[string]string{"Origin": "https://any.example"}, code: 403},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default().Egress
			cfg.AuthToken, cfg.WebSocket.AllowedOrigins = tt.token, tt.allowed
			h := access.NewGate(cfg).Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "fine") }))
			method := tt.method
			if method == "" {
				method = http.MethodGet
			}
			req := httptest.NewRequestWithContext(t.Context(), method, here+"/v1/streams"+tt.url, nil)
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, req)
			if rec.Code != tt.code || rec.Header().Get("Access-Control-Allow-Origin") != tt.cors {
				t.Errorf("%d, CORS %q; want %d, %q", rec.Code, rec.Header().Get("Access-Control-Allow-Origin"), tt.code, tt.cors)
			}
			if rec.Code < 400 {
				return
			}
			var problem struct {
				Type, Title, Detail string
				Status              int
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &problem); err != nil || problem.Status != tt.code || problem.Detail == "" ||
				problem.Type != "about:blank" || rec.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("problem %s (%v)", rec.Body, err)
			}
			if tt.token != "" && strings.Contains(rec.Body.String(), tt.token) {
				t.Errorf("the answer holds the token: %s", rec.Body)
			}
		})
	}
}

// logged answers one request through the access log and returns its lines.
func logged(t *testing.T, h http.HandlerFunc, path string, header map[string]string) (lines []map[string]any, m *obs.Metrics) {
	t.Helper()
	var out bytes.Buffer
	m = obs.NewMetrics("egress", "test")
	rt := &service.Runtime{Log: slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})), Metrics: m}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/{file}", h)
	mux.HandleFunc("GET /metrics", h)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	access.Log(rt, mux).ServeHTTP(&hijackable{httptest.NewRecorder()}, req)
	for line := range strings.Lines(out.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fields)
	}
	return lines, m
}

type hijackable struct{ *httptest.ResponseRecorder }

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, nil }

func TestAccessIsWritten(t *testing.T) {
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code); fmt.Fprint(w, "12345") }
	}
	lines, m := logged(t, answer(200), "/v1/mic.srt?token=secret&limit=3&Old_Token=x", map[string]string{
		"User-Agent": strings.Repeat("a", 1000), "Origin": "http://x", "X-Forwarded-For": "10.0.0.7\nlevel=ERROR", "Authorization": "Bearer secret"})
	if len(lines) != 1 || lines[0]["msg"] != "access" || lines[0]["level"] != "INFO" || lines[0]["path"] != "/v1/mic.srt" || lines[0]["status"] != 200.0 ||
		lines[0]["bytes"] != 5.0 || lines[0]["remote"] != "192.0.2.1" || lines[0]["forwarded_for"] != "10.0.0.7\nlevel=ERROR" || len(lines[0]["user_agent"].(string)) > 300 {
		t.Errorf("lines %v", lines)
	}
	if q := lines[0]["query"].(string); strings.Contains(q, "secret") || strings.Contains(q, "=x") || !strings.Contains(q, "limit=3") {
		t.Errorf("query %q", q)
	}
	all, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := false
	for _, f := range all {
		counted = counted || f.GetName() == "rtap_http_requests_total" && strings.Contains(f.String(), `value:"GET /v1/{file}"`)
	}
	if !counted {
		t.Error("the request is not counted by its route")
	}
	for path, want := range map[string]struct {
		code  int
		level string
	}{"/metrics": {200, "DEBUG"}, "/v1/a": {401, "WARN"}, "/v1/b": {403, "WARN"}, "/elsewhere": {404, "INFO"}} {
		lines, _ := logged(t, answer(want.code), path, nil)
		if len(lines) != 1 || lines[0]["level"] != want.level || lines[0]["status"] != float64(want.code) {
			t.Errorf("%s: %v", path, lines)
		}
	}
}

func TestWebSocketIsWrittenTwice(t *testing.T) {
	lines, _ := logged(t, func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); err != nil {
			t.Error(err)
		}
	}, "/v1/stream", nil)
	if len(lines) != 2 || lines[0]["phase"] != "open" || lines[1]["phase"] != "closed" || lines[1]["status"] != 101.0 {
		t.Errorf("lines %v", lines)
	}
}
