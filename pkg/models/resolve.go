package models

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/native"
)

// ErrAbsent is wrapped by errors about a model whose files are not on this machine.
var ErrAbsent = errors.New("is not on this machine")

// aliases are words of stt.compute_dtype for forms.
var aliases = map[string]string{"float16": "f16", "int8": "q8_0", "auto": ""}

// Model is an entry with the file to load.
type Model struct {
	Entry
	// Path of a whisper model's file; empty for moonshine, whose files are pinned.
	Path  string
	Dtype string
}

// Form returns the form that a value of stt.compute_dtype asks for; auto gives the first.
func (e *Entry) Form(dtype string) (Form, error) {
	want := dtype
	if a, ok := aliases[dtype]; ok {
		want = a
	}
	var known []string
	for _, f := range e.Forms {
		if want == "" || f.Dtype == want {
			return f, nil
		}
		known = append(known, f.Dtype)
	}
	return Form{}, fmt.Errorf("stt.compute_dtype: %s is not there as %s; it comes as %s", e.Name, dtype, strings.Join(known, ", "))
}

// Place returns where a form's file lies.
func (c *Catalogue) Place(f Form) string { return filepath.Join(c.Dir, f.File) }

// Find returns an entry; the error names those that look like it.
func (c *Catalogue) Find(name string) (*Entry, error) {
	if i := c.index(name); i >= 0 {
		return &c.Entries[i], nil
	}
	var near, all []string
	for _, e := range c.Entries {
		all = append(all, e.Name)
		if strings.Contains(e.Name, name) || strings.Contains(name, strings.TrimPrefix(e.Name, "whisper-")) {
			near = append(near, e.Name)
		}
	}
	if len(near) == 0 {
		near = all
	}
	return nil, fmt.Errorf("no model is called %q: want auto, the path of a ggml file, or one of %s", name, strings.Join(near, ", "))
}

// IsPath says whether a value of stt.model is the path of a file.
func IsPath(name string) bool {
	return strings.ContainsRune(name, filepath.Separator) || strings.HasSuffix(name, ".bin")
}

// Resolve returns the model that stt.model and stt.compute_dtype name, which must be on
// this machine. The content of files is not checked here.
func (c *Catalogue) Resolve(name, dtype string) (Model, error) {
	if IsPath(name) {
		return fromPath(name)
	}
	e, err := c.Find(name)
	if err != nil {
		return Model{}, err
	}
	if len(e.Pinned) > 0 {
		if dtype != "auto" && dtype != "int8" {
			return Model{}, fmt.Errorf("stt.compute_dtype: bad value %q: %s comes as int8 only", dtype, e.Name)
		}
		return Model{Entry: *e, Dtype: "int8"}, nil
	}
	form, err := e.Form(dtype)
	if err != nil {
		return Model{}, err
	}
	candidates := []Form{form}
	if aliases[dtype] == "" && dtype == "auto" {
		candidates = e.Forms
	}
	for _, f := range candidates {
		if st, err := os.Stat(c.Place(f)); err == nil && st.Mode().IsRegular() {
			return Model{Entry: *e, Path: c.Place(f), Dtype: f.Dtype}, nil
		}
	}
	more := ""
	if dtype != "auto" {
		more = " --dtype " + form.Dtype
	}
	return Model{}, fmt.Errorf("model %s %w (looked in %s): run `rtap models pull %s%s`", e.Name, ErrAbsent, c.Dir, e.Name, more)
}

// fromPath describes a file that no entry names by what its header says.
func fromPath(path string) (Model, error) {
	m, err := ggml.Check(path)
	if err != nil {
		return Model{}, err
	}
	e := Entry{
		Name: strings.TrimSuffix(filepath.Base(path), ".bin"), Engine: EngineWhisper, Languages: []string{"en"},
		Tasks: []string{TaskTranscribe}, HangoverMS: WhisperHangoverMS, TailMS: WhisperTailMS,
	}
	if n := m.Header.Languages(); n > 1 {
		e.Languages, e.Tasks = whisper100[:min(n, len(whisper100))], []string{TaskTranscribe, TaskTranslate}
	}
	return Model{Entry: e, Path: path, Dtype: m.Header.Dtype()}, nil
}

// Whisper's pauses: it has no use for the audio before a segment, so that a segment must
// be long enough to be understood by itself.
const (
	WhisperHangoverMS = 800
	WhisperTailMS     = 256
)

// AutoCPU is the model that stt.model: auto stands for where there is no GPU, and why.
func AutoCPU(language, task string) (name, why string) {
	const multilingual, english = "whisper-base", "moonshine-tiny-en"
	if base, _, _ := strings.Cut(strings.ToLower(language), "-"); base != "en" {
		return multilingual, "auto: the language is " + language
	}
	if task == TaskTranslate {
		return multilingual, "auto: the task is translate"
	}
	return english, "auto: English on a CPU"
}

// Pauses returns the hangover and the tail for the model that a configuration names.
func (c *Catalogue) Pauses(model, language, task string) (hangoverMS, tailMS int, err error) {
	if IsPath(model) {
		return WhisperHangoverMS, WhisperTailMS, nil
	}
	if model == Auto {
		model, _ = AutoCPU(language, task)
	}
	e, err := c.Find(model)
	if err != nil {
		return 0, 0, err
	}
	if e.TailMS == 0 {
		return e.HangoverMS, min(e.HangoverMS, WhisperTailMS), nil
	}
	return e.HangoverMS, e.TailMS, nil
}

// Present returns the forms of an entry that are on this machine, with true for an entry
// whose pinned files are all there.
func (c *Catalogue) Present(e *Entry) (forms []Form, pinned bool) {
	for _, f := range e.Forms {
		if _, err := os.Stat(c.Place(f)); err == nil {
			forms = append(forms, f)
		}
	}
	pinned = len(e.Pinned) > 0
	for _, name := range e.Pinned {
		if _, err := native.Locate(name); err != nil {
			pinned = false
		}
	}
	return forms, pinned
}

// Strangers lists the model files in the folder that no entry names.
func (c *Catalogue) Strangers() ([]string, error) {
	paths, err := filepath.Glob(filepath.Join(c.Dir, "*.bin"))
	if err != nil {
		return nil, fmt.Errorf("looking through %s: %w", c.Dir, err)
	}
	return slices.DeleteFunc(paths, func(path string) bool {
		return slices.ContainsFunc(c.Entries, func(e Entry) bool {
			return slices.ContainsFunc(e.Forms, func(f Form) bool { return c.Place(f) == path })
		})
	}), nil
}

// Verify checks a present form: its structure, and its sum where one is known: the
// catalogue's, or the one that Stamp wrote for a file made on this machine.
func (c *Catalogue) Verify(e *Entry, f Form) (*ggml.Model, error) {
	path := c.Place(f)
	m, err := ggml.Check(path)
	if err != nil {
		return nil, err
	}
	sums := []string{f.SHA256}
	if raw, err := os.ReadFile(path + stampSuffix); err == nil {
		sum, _, _ := strings.Cut(string(raw), " ")
		sums = append(sums, sum)
	}
	sums = slices.DeleteFunc(sums, func(s string) bool { return s == "" })
	if len(sums) == 0 {
		return m, nil
	}
	found, err := native.Sum(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(sums, found) {
		return nil, fmt.Errorf("%s: its SHA-256 is %s, want %s: run `rtap models remove %s` and bring it again", path, found, strings.Join(sums, " or "), e.Name)
	}
	return m, nil
}

// stampSuffix names the file beside a model that was made on this machine; it holds the
// model's sum as sha256sum writes it.
const stampSuffix = ".sha256"

// Stamp records the sum of a file that was made on this machine, for Verify.
func (c *Catalogue) Stamp(f Form) error {
	sum, err := native.Sum(c.Place(f))
	if err != nil {
		return err
	}
	line := sum + "  " + filepath.Base(f.File) + "\n"
	if err := os.WriteFile(c.Place(f)+stampSuffix, []byte(line), 0o644); err != nil {
		return fmt.Errorf("writing the sum of %s: %w", f.File, err)
	}
	return nil
}

// Delete removes a form's file and what belongs to it, and returns the bytes freed.
func (c *Catalogue) Delete(f Form) (int64, error) {
	path := c.Place(f)
	var freed int64
	for _, p := range []string{path, path + stampSuffix} {
		st, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.Remove(p)
		}
		if err != nil {
			return freed, fmt.Errorf("removing: %w", err)
		}
		freed += st.Size()
	}
	return freed, nil
}
