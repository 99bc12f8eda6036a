package models_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/ctranslate2"
	"github.com/rtap/rtap/cmd/rtap/internal/ctranslate2/ctranslate2test"
	"github.com/rtap/rtap/cmd/rtap/internal/models"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/native"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rtapModels runs `rtap models` and returns what it prints.
func rtapModels(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	err = models.Run(t.Context(), lifecycle.Env{Service: "rtap", Args: args, Stdout: &out, Stderr: &errOut})
	return out.String(), errOut.String(), err
}

// hub serves a small model as a user's entry "small", and returns the models folder and
// what was asked for.
func hub(t *testing.T, spoil func([]byte) []byte) (dir string, ranges *[]string) {
	t.Helper()
	made := filepath.Join(t.TempDir(), "made.bin")
	if err := ctranslate2.Convert(context.Background(), ctranslate2test.Folder(t), made); err != nil {
		t.Fatal(err)
	}
	sum, err := native.Sum(made)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	if spoil != nil {
		raw = spoil(bytes.Clone(raw))
	}
	ranges = &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*ranges = append(*ranges, r.Header.Get("Range"))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(raw))
	}))
	t.Cleanup(func() { srv.Close(); http.DefaultClient.CloseIdleConnections() })
	dir = t.TempDir()
	t.Setenv("RTAP_MODELS_DIR", dir)
	t.Setenv("RTAP_MODELS_HUB", srv.URL)
	ctranslate2test.Write(t, dir, "models.yaml", fmt.Appendf(nil, `# mine
models:
  - {name: small, engine: whisper, languages: [en], tasks: [transcribe], licence: MIT, hangover_ms: 800,
     forms: [{dtype: f16, file: small.bin, size: %d, sha256: %s}]}
`, len(raw), sum))
	return dir, ranges
}

func TestPullVerifyRemove(t *testing.T) {
	dir, ranges := hub(t, nil)
	file := filepath.Join(dir, "small.bin")
	// An earlier try was cut off after its first bytes.
	ctranslate2test.Write(t, dir, "small.bin.new.part", []byte("lmgg"))
	if out, _, err := rtapModels(t, "pull", "small"); err != nil || !strings.Contains(out, "small.bin: whole") {
		t.Fatalf("pull: %q, %v", out, err)
	}
	if fmt.Sprint(*ranges) != "[bytes=4-]" {
		t.Errorf("asked for %q, want the rest", *ranges)
	}
	if _, _, err := rtapModels(t, "pull", "small"); err != nil || len(*ranges) != 1 {
		t.Errorf("a model that is here was brought again: %q, %v", *ranges, err)
	}
	if out, _, err := rtapModels(t, "list"); err != nil || !strings.Contains(out, "f16*") || !strings.Contains(out, "whisper-large-v3-turbo") {
		t.Errorf("list: %q, %v", out, err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1 // a weight, which only the sum shows
	ctranslate2test.Write(t, dir, "small.bin", raw)
	if _, _, err := rtapModels(t, "verify", "small"); err == nil || !strings.Contains(err.Error(), "its SHA-256 is") {
		t.Errorf("verify: %v", err)
	}
	if out, _, err := rtapModels(t, "remove", "small"); err != nil || !strings.Contains(out, "removed small") {
		t.Errorf("remove: %q, %v", out, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the file is still there")
	}
}

func TestPullRemovesWhatIsNotThePinnedFile(t *testing.T) {
	dir, _ := hub(t, func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw })
	_, _, err := rtapModels(t, "pull", "small")
	if err == nil || !strings.Contains(err.Error(), "was removed") {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestImport(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("RTAP_MODELS_DIR", dir)
	const before = "# my models\nmodels: []\n"
	ctranslate2test.Write(t, dir, "models.yaml", []byte(before))
	out, _, err := rtapModels(t, "import", ctranslate2test.Folder(t), "--name", "mine")
	if err != nil || !strings.Contains(out, "stt.model=mine") {
		t.Fatalf("import: %q, %v", out, err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "models.yaml"))
	if err != nil || !strings.HasPrefix(string(raw), "# my models") {
		t.Errorf("the user's comment is gone: %s, %v", raw, err)
	}
	if _, _, err := rtapModels(t, "verify", "mine"); err != nil {
		t.Errorf("verify: %v", err)
	}
	if out, _, err := rtapModels(t, "list"); err != nil || !strings.Contains(out, "mine") {
		t.Errorf("list: %q, %v", out, err)
	}
	if _, _, err := rtapModels(t, "remove", "mine"); err != nil {
		t.Errorf("remove: %v", err)
	}
	if _, _, err := rtapModels(t, "verify", "mine"); lifecycle.Code(err) != lifecycle.ExitUsage {
		t.Errorf("after remove: %v", err)
	}
}

func TestBadCalls(t *testing.T) {
	t.Setenv("RTAP_MODELS_DIR", t.TempDir())
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"nothing":             {nil, "want list, pull"},
		"unknown model":       {[]string{"pull", "whisper-bass"}, "no model is called"},
		"near":                {[]string{"pull", "base"}, "one of whisper-base, whisper-base.en"},
		"unknown form":        {[]string{"pull", "whisper-base", "--dtype", "q3"}, "it comes as q8_0, q5_1, f16"},
		"two models":          {[]string{"pull", "whisper-base", "whisper-tiny"}, "want one model's name"},
		"from nowhere":        {[]string{"pull", "whisper-base", "--from", "here"}, "want hub or registry"},
		"not in a registry":   {[]string{"pull", "whisper-small", "--from", "registry"}, "is in no package registry"},
		"remove the fallback": {[]string{"remove", "moonshine-tiny-en"}, "it stays"},
		"no folder":           {[]string{"import", "/nowhere"}, "is not a folder with a CTranslate2 model"},
		"a name of ours":      {[]string{"import", ctranslate2test.Folder(t), "--name", "whisper-base"}, "choose another"},
		"a bad name":          {[]string{"import", ctranslate2test.Folder(t), "--name", "a b"}, "name: want 1 to 64"},
		"a bad quantisation":  {[]string{"import", ctranslate2test.Folder(t), "--quantize", "q9"}, "want q8_0, q5_1"},
		"a bad flag":          {[]string{"list", "--nope"}, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := rtapModels(t, tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) || lifecycle.Code(err) != lifecycle.ExitUsage {
				t.Errorf("got %v, want %q and exit code 2", err, tt.want)
			}
		})
	}
}
