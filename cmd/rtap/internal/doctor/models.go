package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/models"
	"github.com/rtap/rtap/pkg/native"
)

// Planned is what `rtap-stt plan` says of one model.
type Planned struct {
	Asked, Model, Engine, Path, Dtype, Why string
	Threads                                int
	Missing                                []string `json:"missing_cpu_features"`
	Error                                  string
}

type plans struct {
	Copies   int
	Model    Planned
	Fallback *Planned
}

// Model are the facts about one model that the configuration asks for.
type Model struct {
	Role string // "model" or "fallback model"
	Planned
	Content error // what is wrong with its files
	// Need is what all copies in one process take at most, in bytes; 0 where it is not known.
	Need, Free  int64
	BoundBy     string // what sets Free
	HasFallback bool   // another model is taken when this one fails
}

func (s *Site) models(ctx context.Context) []Finding {
	out := s.modelFolder()
	p, err := s.plan(ctx)
	if err != nil {
		detail, advice := explain(err, "`rtap-stt plan` shows it alone")
		return append(out, Finding{"model", Fail, detail, advice})
	}
	if p.Model.Model == "" && p.Model.Error == "" {
		return append(out, Finding{"model", Warn, "which one auto stands for cannot be told without rtap-stt", "see to the programs first"})
	}
	out = append(out, s.model("model", p.Model, p.Copies, p.Fallback != nil).Findings()...)
	if p.Fallback != nil {
		out = append(out, s.model("fallback model", *p.Fallback, p.Copies, false).Findings()...)
	}
	return out
}

// plan asks rtap-stt, where all choosing lives. Without that program a model that the
// configuration names can still be looked at.
func (s *Site) plan(ctx context.Context) (plans, error) {
	args := []string{"plan"}
	if s.Flags.File != "" {
		args = append(args, "--config", s.Flags.File)
	}
	for _, kv := range s.Flags.Set {
		args = append(args, "--set", kv)
	}
	raw, err := s.ask(ctx, "rtap-stt", args...)
	if err == nil {
		var p plans
		if err := json.Unmarshal(raw, &p); err != nil {
			return plans{}, fmt.Errorf("reading what rtap-stt plans (is it of another version?): %w", err)
		}
		return p, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return plans{}, err
	}
	cfg := s.Config.STT
	p := plans{Copies: s.Config.Resilience.Bulkhead.MaxConcurrent}
	if cfg.Model != models.Auto {
		p.Model = unasked(cfg.Model, cfg.ComputeDtype)
	}
	if cfg.FallbackModel != "" && cfg.FallbackModel != models.Auto {
		fallback := unasked(cfg.FallbackModel, "auto")
		p.Fallback = &fallback
	}
	return p, nil
}

func unasked(name, dtype string) Planned {
	out := Planned{Asked: name, Why: "stt.model, without rtap-stt"}
	catalogue, err := models.Load()
	if err != nil {
		out.Error = err.Error()
		return out
	}
	m, err := catalogue.Resolve(name, dtype)
	if err != nil {
		out.Error = err.Error()
		return out
	}
	out.Model, out.Engine, out.Path, out.Dtype = m.Name, m.Engine, m.Path, m.Dtype
	return out
}

// model gathers the facts about the files that a plan names.
func (s *Site) model(role string, p Planned, copies int, hasFallback bool) Model {
	m := Model{Role: role, Planned: p, HasFallback: hasFallback}
	if p.Error != "" {
		return m
	}
	var checked *ggml.Model
	if checked, m.Content = content(p); checked != nil {
		m.Need = checked.Memory() * int64(copies)
	}
	// What is not known is no reason to warn.
	m.Free, m.BoundBy, _ = s.Host.AvailableMemory()
	return m
}

// content checks structure and sum of a model's files.
func content(p Planned) (*ggml.Model, error) {
	catalogue, err := models.Load()
	if err != nil {
		return nil, err
	}
	e, err := catalogue.Find(p.Model)
	if err != nil { // given by its path
		return ggml.Check(p.Path)
	}
	for _, name := range e.Pinned {
		if _, err := native.Locate(name); err != nil {
			return nil, err
		}
	}
	if len(e.Pinned) > 0 {
		return nil, nil
	}
	for _, f := range e.Forms {
		if catalogue.Place(f) == p.Path {
			return catalogue.Verify(e, f)
		}
	}
	return ggml.Check(p.Path)
}

// Findings judges the facts.
func (m Model) Findings() []Finding {
	fail := func(detail, advice string) []Finding {
		f := Finding{m.Role, Fail, detail, advice}
		if m.HasFallback {
			f.Status, f.Detail = Warn, f.Detail+"; stt.fallback_model is taken instead"
		}
		return []Finding{f}
	}
	const size = "choose a smaller model or form (`rtap models list`), or fewer copies (resilience.bulkhead.max_concurrent)"
	choose, again := "see what there is with `rtap models list`, then set "+m.key(), fmt.Sprintf("bring it again: `rtap models remove %s`, then `rtap models pull %s`", m.Model, m.Model)
	if models.IsPath(m.Asked) {
		again = fmt.Sprintf("copy the file again (`rtap models verify %s` checks it), or set %s to one of `rtap models list`", m.Asked, m.key())
		choose = again
	}
	switch {
	case m.Error != "":
		return fail(explain(errors.New(m.Error), choose))
	case m.Content != nil:
		return fail(explain(m.Content, again))
	case len(m.Missing) > 0:
		return fail(fmt.Sprintf("%s cannot run: this CPU lacks %s", m.Model, strings.Join(m.Missing, ", ")),
			"build on this machine with WHISPER_NATIVE=1, or take moonshine-tiny-en")
	case m.Free > 0 && m.Need > m.Free:
		return fail(fmt.Sprintf("%s needs up to %d MB of memory, and %s leaves %d MB", m.name(), m.Need>>20, m.BoundBy, m.Free>>20), size)
	}
	detail := m.name() + " is whole"
	if m.Why != "" && m.Role == "model" {
		detail += "; chosen by " + m.Why
	}
	if m.Need == 0 || m.Free == 0 {
		return []Finding{{m.Role, OK, detail, ""}}
	}
	detail += fmt.Sprintf("; needs up to %d MB of the %d MB that %s leaves", m.Need>>20, m.Free>>20, m.BoundBy)
	if m.Need > m.Free/10*9 {
		return []Finding{{m.Role, Warn, detail, size}}
	}
	return []Finding{{m.Role, OK, detail, ""}}
}

func (m Model) key() string {
	if m.Role == "model" {
		return "stt.model"
	}
	return "stt.fallback_model"
}

func (m Model) name() string {
	if m.Path == "" {
		return fmt.Sprintf("%s (%s)", m.Model, m.Dtype)
	}
	return fmt.Sprintf("%s (%s, %s)", m.Model, m.Dtype, m.Path)
}

func (s *Site) modelFolder() []Finding {
	dir, err := models.Dir()
	if err == nil {
		var entries []os.DirEntry
		if entries, err = os.ReadDir(dir); err == nil && len(entries) == 0 {
			err = ErrEmpty
		}
	}
	return JudgeModelFolder(dir, err)
}

// ErrEmpty says that the folder of models holds nothing.
var ErrEmpty = errors.New("it is empty")

// JudgeModelFolder says what came of reading the folder.
func JudgeModelFolder(dir string, err error) []Finding {
	const name = "model folder"
	switch {
	case err == nil:
		return []Finding{{name, OK, dir, ""}}
	case errors.Is(err, ErrEmpty):
		return []Finding{{name, Fail, dir + " is empty", "`make deps` brings the models that RTAP needs, `rtap models pull NAME` others; set RTAP_MODELS_DIR, or mount the right volume, if they are elsewhere"}}
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{{name, Warn, dir + " does not exist", "`make deps` and `rtap models pull` fill it; set RTAP_MODELS_DIR if models are elsewhere"}}
	case errors.Is(err, fs.ErrPermission):
		return []Finding{{name, Fail, fmt.Sprintf("%s cannot be read by this user", dir), "give the user that runs RTAP the right to read it: `chmod -R a+rX " + filepath.Clean(dir) + "`"}}
	default:
		detail, advice := explain(err, "set RTAP_MODELS_DIR to where models are")
		return []Finding{{name, Fail, detail, advice}}
	}
}
