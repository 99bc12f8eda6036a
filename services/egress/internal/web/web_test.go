package web_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/egress/internal/web"
)

func get(t *testing.T, path string) (answer *httptest.ResponseRecorder, body string) {
	t.Helper()
	mux := http.NewServeMux()
	web.Register(mux)
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return rec, rec.Body.String()
}

func requireRedoc(t *testing.T) {
	t.Helper()
	_, err := os.Stat(filepath.Join("fetched", "redoc.standalone.js"))
	testkit.RequireNative(t, err)
}

// TestPagesLoadOnlyWhatIsHere: each page forbids other hosts, names none, and all that it
// does name is served.
func TestPagesLoadOnlyWhatIsHere(t *testing.T) {
	requireRedoc(t)
	link := regexp.MustCompile(`(?:src|href)="([^"#]+)"|from "([^"]+)"`)
	for path, file := range map[string]string{"/": "/", "/overlay?size=3": "/", "/redoc": "/", "/docs": "/docs", "/assets/captions.js": "/assets/", "/assets/overlay.js": "/assets/", "/assets/redoc.js": "/assets/"} {
		res, body := get(t, path)
		if res.Code != http.StatusOK {
			t.Fatalf("%s: %s", path, http.StatusText(res.Code))
		}
		policy := res.Header().Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") || !strings.Contains(policy, "connect-src 'self'") || strings.Contains(policy, "http") ||
			strings.Contains(policy, "*") || res.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: policy %q", path, policy)
		}
		if strings.Contains(path, "redoc") != strings.Contains(policy, "unsafe") && path != "/docs" && !strings.HasPrefix(path, "/assets/") {
			t.Errorf("%s: policy %q", path, policy)
		}
		for _, m := range link.FindAllStringSubmatch(body, -1) {
			ref := m[1] + m[2]
			if strings.Contains(ref, "//") {
				t.Errorf("%s names another host: %s", path, ref)
			}
			at := ref
			if !strings.HasPrefix(ref, "/") {
				at = file + strings.TrimPrefix(ref, "./")
			}
			if !strings.HasPrefix(at, "/assets/") && !strings.HasPrefix(at, "/docs/") {
				continue // another page
			}
			if res, _ := get(t, at); res.Code != http.StatusOK {
				t.Errorf("%s loads %s: %s", path, at, http.StatusText(res.Code))
			}
		}
	}
}

func TestTypesAndWhatIsMissing(t *testing.T) {
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/assets/feed.js": "text/javascript; charset=utf-8", "/assets/captions.css": "text/css; charset=utf-8",
		"/assets/icon.svg": "image/svg+xml",
	} {
		if res, _ := get(t, path); res.Header().Get("Content-Type") != want {
			t.Errorf("%s is %s", path, res.Header().Get("Content-Type"))
		}
	}
	for _, path := range []string{"/assets/nothing.js", "/assets/README.md", "/assets/..%2fweb.go", "/assets/fetched"} {
		if res, _ := get(t, path); res.Code != http.StatusNotFound {
			t.Errorf("%s: %s", path, http.StatusText(res.Code))
		}
	}
}

// TestASlashAtTheEnd: both pages of the documents are found with it, too.
func TestASlashAtTheEnd(t *testing.T) {
	if res, _ := get(t, "/docs/"); res.Code != http.StatusOK {
		t.Errorf("/docs/: %d", res.Code)
	}
	for path, want := range map[string]string{"/redoc/": "../redoc", "/redoc/?token=x": "../redoc?token=x"} {
		if res, _ := get(t, path); res.Code != http.StatusPermanentRedirect || res.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q", path, res.Code, res.Header().Get("Location"))
		}
	}
}

// TestRedocAsksNobody: the script was changed as it was fetched, and its reports are off.
func TestRedocAsksNobody(t *testing.T) {
	requireRedoc(t)
	if _, body := get(t, "/assets/redoc.standalone.js"); strings.Contains(body, "cdn.redoc.ly") || len(body) < 1_000_000 {
		t.Errorf("the script of %d bytes loads a logo", len(body))
	}
	if _, body := get(t, "/assets/redoc.js"); !strings.Contains(body, "disableTelemetry: true") {
		t.Error("Redoc's reports are not off")
	}
}

// TestFeedScript runs the script that keeps captions in order, as test/feed.test.mjs has it.
func TestFeedScript(t *testing.T) {
	node, err := exec.LookPath("node")
	testkit.RequireNative(t, err)
	out, err := exec.CommandContext(t.Context(), node, "--test", "test/").CombinedOutput()
	if err != nil {
		t.Errorf("%v:\n%s", err, out)
	}
}
