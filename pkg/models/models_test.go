package models_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/models"
)

// load reads the catalogue with a user's file of the given text, if any.
func load(t *testing.T, user string) (*models.Catalogue, error) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("RTAP_MODELS_DIR", dir)
	if user != "" {
		put(t, filepath.Join(dir, models.UserFile), user)
	}
	return models.Load()
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestBuiltInCatalogue(t *testing.T) {
	c, err := load(t, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"moonshine-tiny-en", "whisper-tiny", "whisper-tiny.en", "whisper-base", "whisper-small", "whisper-medium", "whisper-large-v3", "whisper-large-v3-turbo",
	} {
		e, err := c.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range e.Forms {
			if f.Size == 0 || f.SHA256 == "" || f.File == "" {
				t.Errorf("%s %s has no size, sum or file", name, f.Dtype)
			}
		}
		if e.Licence == "" || e.About == "" {
			t.Errorf("%s has no licence or description", name)
		}
	}
	base, _ := c.Find("whisper-base")
	if len(base.Languages) != 99 || base.Speaks("de-AT") != nil || base.Speaks("auto") != nil {
		t.Errorf("whisper-base knows %d languages", len(base.Languages))
	}
	if err := base.Speaks("tlh"); err == nil || !strings.Contains(err.Error(), "it knows en zh de") {
		t.Errorf("Klingon: %v", err)
	}
	tiny, _ := c.Find("whisper-tiny.en")
	if err := tiny.Speaks("de"); err == nil || !strings.Contains(err.Error(), "knows only en") {
		t.Errorf("German of tiny.en: %v", err)
	}
	if err := tiny.Does("translate"); err == nil || !strings.Contains(err.Error(), "it can transcribe") {
		t.Errorf("translation of tiny.en: %v", err)
	}
}

const mine = `  - {name: mine, engine: whisper, languages: [de], tasks: [transcribe], licence: MIT, hangover_ms: 700,
     forms: [{dtype: f16, file: mine.bin, size: 1}]}
`

func TestUsersCatalogue(t *testing.T) {
	c, err := load(t, "models:\n"+mine+strings.ReplaceAll(mine, "name: mine", "name: whisper-tiny"))
	if err != nil {
		t.Fatal(err)
	}
	tiny, err := c.Find("whisper-tiny")
	if err != nil || !slices.Equal(tiny.Languages, []string{"de"}) || !c.IsUsers("whisper-tiny") || c.IsUsers("whisper-base") {
		t.Errorf("the user's entry does not stand: %+v, %v", tiny, err)
	}
	if _, err := c.Resolve("mine", "auto"); !errors.Is(err, models.ErrAbsent) || !strings.Contains(err.Error(), "rtap models pull mine") {
		t.Errorf("without its file: %v", err)
	}
	put(t, filepath.Join(c.Dir, "mine.bin"), "x")
	if m, err := c.Resolve("mine", "float16"); err != nil || m.Dtype != "f16" || m.HangoverMS != 700 {
		t.Errorf("with its file: %+v, %v", m, err)
	}
	if _, err := c.Resolve("mine", "int8"); err == nil || !strings.Contains(err.Error(), "it comes as f16") {
		t.Errorf("another form: %v", err)
	}
	put(t, filepath.Join(c.Dir, "found.bin"), "x")
	if s, err := c.Strangers(); err != nil || len(s) != 1 || filepath.Base(s[0]) != "found.bin" {
		t.Errorf("strangers %v, %v", s, err)
	}
}

func TestPauses(t *testing.T) {
	c, err := load(t, "models:\n"+mine)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		model, language, task string
		hangover, tail        int
	}{
		"English":     {"auto", "en", "transcribe", 96, 32},
		"German":      {"auto", "de-CH", "transcribe", 800, 256},
		"translation": {"auto", "en", "translate", 800, 256},
		"a path":      {"/x/y.bin", "en", "transcribe", 800, 256},
		"a user's":    {"mine", "de", "transcribe", 700, 256},
	} {
		hangover, tail, err := c.Pauses(tt.model, tt.language, tt.task)
		if err != nil || hangover != tt.hangover || tail != tt.tail {
			t.Errorf("%s: %d and %d, %v; want %d and %d", name, hangover, tail, err, tt.hangover, tt.tail)
		}
	}
	if _, _, err := c.Pauses("nothing", "en", "transcribe"); err == nil {
		t.Error("an unknown model has pauses")
	}
}

func TestBadUsersCatalogue(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"unknown key":  {"models:\n  - {nickname: x}\n", "field nickname not found"},
		"no yaml":      {"\tx", "models.yaml"},
		"no languages": {"models:\n" + strings.ReplaceAll(mine, "languages: [de], ", ""), "languages: want at least one"},
		"engine":       {"models:\n" + strings.ReplaceAll(mine, "engine: whisper", "engine: vosk"), `engine: bad value "vosk"`},
		"hangover":     {"models:\n" + strings.ReplaceAll(mine, "700", "7"), "hangover_ms: bad value 7"},
		"outside":      {"models:\n" + strings.ReplaceAll(mine, "file: mine.bin", "file: ../mine.bin"), "must be a name within the models folder"},
		"sum":          {"models:\n" + strings.ReplaceAll(mine, "size: 1", "sha256: abc"), "want 64 hexadecimal digits"},
		"twice":        {"models:\n" + mine + mine, "stands twice"},
		"reserved":     {"models:\n" + strings.ReplaceAll(mine, "name: mine", "name: auto"), "name: want"},
		"task":         {"models:\n" + strings.ReplaceAll(mine, "[transcribe]", "[sing]"), `tasks: bad value "sing"`},
		"no files":     {"models:\n  - {name: x, engine: whisper, languages: [de], tasks: [transcribe], licence: MIT, hangover_ms: 700}\n", "either forms or pinned"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := load(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestAddAndForget(t *testing.T) {
	c, err := load(t, "# what I trained\nmodels:\n"+mine)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := c.Find("mine")
	another := *e
	another.Name = "another"
	for _, e := range []models.Entry{another, *e} {
		if err := c.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := c.Forget("mine"); err != nil || !found {
		t.Errorf("forget: %v, %v", found, err)
	}
	if found, err := c.Forget("mine"); err != nil || found {
		t.Errorf("forget again: %v, %v", found, err)
	}
	again, err := models.Load()
	if err != nil || again.IsUsers("mine") || !again.IsUsers("another") {
		t.Errorf("after all: %v, %v", again, err)
	}
	if raw, _ := os.ReadFile(c.User); !strings.Contains(string(raw), "# what I trained") {
		t.Errorf("the comment is gone:\n%s", raw)
	}
	another.Engine = "vosk"
	if err := c.Add(another); err == nil {
		t.Error("a bad entry was written")
	}
}
