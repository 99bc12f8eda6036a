// Package models is the catalogue of what stt.model may name: engine, languages, files,
// sums, licence and default hangover of each model. catalogue.yaml beside this file is
// built in; models.yaml in the models folder extends it.
package models

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/native"
	"go.yaml.in/yaml/v3"
)

// Engines.
const (
	EngineWhisper   = "whisper"
	EngineMoonshine = "moonshine"
)

// Tasks.
const (
	TaskTranscribe = "transcribe"
	TaskTranslate  = "translate"
)

// Auto is reserved: the stt process chooses.
const Auto = "auto"

// UserFile is the name of the user's catalogue in the models folder.
const UserFile = "models.yaml"

//go:embed catalogue.yaml
var builtIn []byte

// Entry is one model.
type Entry struct {
	Name      string   `yaml:"name"`
	Engine    string   `yaml:"engine"`
	About     string   `yaml:"about,omitempty"`
	Languages []string `yaml:"languages,flow"` // codes, never the name of a set
	Tasks     []string `yaml:"tasks,flow"`
	Licence   string   `yaml:"licence"`
	// HangoverMS is the silence that closes a segment, TailMS how much of it the model hears,
	// where the configuration leaves them open.
	HangoverMS int       `yaml:"hangover_ms"`
	TailMS     int       `yaml:"tail_ms,omitempty"`
	Forms      []Form    `yaml:"forms,omitempty"`
	Pinned     []string  `yaml:"pinned,omitempty,flow"`
	Registry   *Registry `yaml:"registry,omitempty"`
}

// Form is one file of a model.
type Form struct {
	Dtype  string `yaml:"dtype"` // f16, q8_0, q5_1 …
	File   string `yaml:"file"`  // in the models folder
	Size   int64  `yaml:"size"`  // bytes
	SHA256 string `yaml:"sha256"`
}

// Registry says how to make an entry's forms out of packages.
type Registry struct {
	Packages []Package           `yaml:"packages"`
	Files    map[string][]string `yaml:"files"` // file → its parts in the packages
}

// Package is one package of PyPI.
type Package struct {
	Name    string `yaml:"name"`
	Version string `yaml:"version"`
	Size    int64  `yaml:"size"`
	SHA256  string `yaml:"sha256"`
}

// Catalogue is everything that stt.model may name.
type Catalogue struct {
	Hub     string // address of a folder that holds the files of forms
	Dir     string // the models folder
	User    string // the user's file, empty when there is none
	Entries []Entry

	users []string // names of the entries in the user's file
}

// IsUsers says whether the user's file has an entry of that name.
func (c *Catalogue) IsUsers(name string) bool { return slices.Contains(c.users, name) }

type file struct {
	Hub    string  `yaml:"hub"`
	Models []Entry `yaml:"models"`
}

// Dir returns the models folder: RTAP_MODELS_DIR, or models in the third-party folder.
func Dir() (string, error) {
	if dir := os.Getenv("RTAP_MODELS_DIR"); dir != "" {
		return dir, nil
	}
	root, err := native.Root()
	if err != nil {
		return "", fmt.Errorf("%w, or RTAP_MODELS_DIR to where models shall live", err)
	}
	return filepath.Join(root, "models"), nil
}

// Load reads the built-in catalogue and the user's.
func Load() (*Catalogue, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	f, err := parse("catalogue.yaml", builtIn)
	if err != nil {
		return nil, err
	}
	c := &Catalogue{Hub: f.Hub, Dir: dir, Entries: f.Models}
	if hub := os.Getenv("RTAP_MODELS_HUB"); hub != "" {
		c.Hub = hub
	}
	path := filepath.Join(dir, UserFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("reading the models of this machine: %w: let this user read the folder (`chmod -R a+rX %s`), or set RTAP_MODELS_DIR to another", err, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the models of this machine: %w", err)
	}
	if f, err = parse(path, raw); err != nil {
		return nil, err
	}
	c.User = path
	for _, e := range f.Models {
		c.users = append(c.users, e.Name)
		if i := c.index(e.Name); i >= 0 {
			c.Entries[i] = e
		} else {
			c.Entries = append(c.Entries, e)
		}
	}
	return c, nil
}

func parse(path string, raw []byte) (*file, error) {
	var f file
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var errs []error
	seen := map[string]bool{}
	for i := range f.Models {
		e := &f.Models[i]
		e.Languages = expand(e.Languages)
		for _, problem := range e.problems() {
			errs = append(errs, fmt.Errorf("%s: model %d (%q): %s", path, i+1, e.Name, problem))
		}
		if seen[e.Name] {
			errs = append(errs, fmt.Errorf("%s: model %d (%q) stands twice", path, i+1, e.Name))
		}
		seen[e.Name] = true
	}
	return &f, errors.Join(errs...)
}

// expand puts the languages of named sets in place of their names.
func expand(in []string) (out []string) {
	for _, l := range in {
		switch l {
		case "whisper-99":
			out = append(out, whisper100[:99]...)
		case "whisper-100":
			out = append(out, whisper100...)
		default:
			out = append(out, l)
		}
	}
	return out
}

var (
	entryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	sum256    = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate says everything that is wrong with an entry.
func (e *Entry) Validate() error {
	var errs []error
	for _, p := range e.problems() {
		errs = append(errs, errors.New(p))
	}
	return errors.Join(errs...)
}

func (e *Entry) problems() (out []string) {
	bad := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !entryName.MatchString(e.Name) || e.Name == Auto || strings.HasSuffix(e.Name, ".bin") {
		bad("name: want 1 to 64 of the characters A-Z a-z 0-9 . _ -, not %q and not ending in .bin", Auto)
	}
	if e.Engine != EngineWhisper && e.Engine != EngineMoonshine {
		bad("engine: bad value %q: want %s or %s", e.Engine, EngineWhisper, EngineMoonshine)
	}
	if len(e.Languages) == 0 {
		bad("languages: want at least one")
	}
	for _, t := range e.Tasks {
		if t != TaskTranscribe && t != TaskTranslate {
			bad("tasks: bad value %q: want %s or %s", t, TaskTranscribe, TaskTranslate)
		}
	}
	if e.HangoverMS < 64 || e.HangoverMS > 5000 {
		bad("hangover_ms: bad value %d: want 64 to 5000", e.HangoverMS)
	}
	if e.TailMS < 0 || e.TailMS > e.HangoverMS {
		bad("tail_ms: bad value %d: want at most hangover_ms", e.TailMS)
	}
	if (len(e.Forms) == 0) == (len(e.Pinned) == 0) {
		bad("want either forms or pinned")
	}
	for _, f := range e.Forms {
		if _, ok := aliases[f.Dtype]; ok || f.Dtype == "" {
			bad("forms: bad dtype %q", f.Dtype)
		}
		if f.File == "" || !filepath.IsLocal(f.File) {
			bad("forms: file %q must be a name within the models folder", f.File)
		}
		if f.SHA256 != "" && !sum256.MatchString(f.SHA256) {
			bad("forms: sha256 of %s: want 64 hexadecimal digits", f.File)
		}
	}
	return out
}

func (c *Catalogue) index(name string) int {
	return slices.IndexFunc(c.Entries, func(e Entry) bool { return e.Name == name })
}

// Speaks says whether the model knows a language; the error lists those that it knows.
func (e *Entry) Speaks(language string) error {
	base, _, _ := strings.Cut(strings.ToLower(language), "-")
	if language == Auto || slices.Contains(e.Languages, base) {
		return nil
	}
	if len(e.Languages) == 1 {
		return fmt.Errorf("%s knows only %s, not %q", e.Name, e.Languages[0], language)
	}
	return fmt.Errorf("%s does not know %q; it knows %s", e.Name, language, strings.Join(e.Languages, " "))
}

// Does says whether the model can do a task.
func (e *Entry) Does(task string) error {
	if slices.Contains(e.Tasks, task) {
		return nil
	}
	return fmt.Errorf("%s cannot %s; it can %s", e.Name, task, strings.Join(e.Tasks, ", "))
}
