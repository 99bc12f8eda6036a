package doctor_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestModel(t *testing.T) {
	base := doctor.Planned{Asked: "whisper-base", Model: "whisper-base", Engine: "whisper", Path: "/m/b.bin", Dtype: "q8_0", Why: "stt.model"}
	facts := func(change func(*doctor.Model)) doctor.Model {
		m := doctor.Model{Role: "model", Planned: base, Need: 300 << 20, Free: 1000 << 20, BoundBy: "the machine"}
		change(&m)
		return m
	}
	cut := errors.New("/m/b.bin: not a usable Whisper model: truncated")
	for name, tt := range map[string]struct {
		facts doctor.Model
		want  want
	}{
		"whole":     {facts(func(*doctor.Model) {}), want{"model", doctor.OK, "whisper-base (q8_0, /m/b.bin) is whole; chosen by stt.model; needs up to 300 MB of the 1000 MB", ""}},
		"absent":    {facts(func(m *doctor.Model) { m.Error = "stt.model: x is not here: run `rtap models pull x`" }), want{"model", doctor.Fail, "x is not here", "run `rtap models pull x`"}},
		"language":  {facts(func(m *doctor.Model) { m.Error = "stt.language: knows only en" }), want{"model", doctor.Fail, "knows only en", "stt.model"}},
		"cut":       {facts(func(m *doctor.Model) { m.Content = cut }), want{"model", doctor.Fail, "/m/b.bin", "rtap models remove whisper-base"}},
		"cut file":  {facts(func(m *doctor.Model) { m.Content, m.Asked = cut, "/m/b.bin" }), want{"model", doctor.Fail, "truncated", "rtap models verify /m/b.bin"}},
		"too large": {facts(func(m *doctor.Model) { m.Need = 2000 << 20 }), want{"model", doctor.Fail, "needs up to 2000 MB of memory, and the machine leaves 1000 MB", "smaller"}},
		"tight":     {facts(func(m *doctor.Model) { m.Need = 950 << 20 }), want{"model", doctor.Warn, "950 MB", "smaller"}},
		"unknown":   {facts(func(m *doctor.Model) { m.Free = 0 }), want{"model", doctor.OK, "is whole", ""}},
		"old CPU":   {facts(func(m *doctor.Model) { m.Missing = []string{"AVX2"} }), want{"model", doctor.Fail, "lacks AVX2", "WHISPER_NATIVE=1"}},
		"fallback":  {facts(func(m *doctor.Model) { m.Content, m.HasFallback = cut, true }), want{"model", doctor.Warn, "stt.fallback_model is taken instead", "pull"}},
		"fallback of its own": {
			facts(func(m *doctor.Model) { m.Role, m.Error = "fallback model", "unknown" }), want{"fallback model", doctor.Fail, "unknown", "stt.fallback_model"},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.want) })
	}
}

func TestModelFolder(t *testing.T) {
	expect(t, doctor.JudgeModelFolder("/m", nil), want{"model folder", doctor.OK, "/m", ""})
	expect(t, doctor.JudgeModelFolder("/m", doctor.ErrEmpty), want{"model folder", doctor.Fail, "/m is empty", "make deps"})
	expect(t, doctor.JudgeModelFolder("/m", fs.ErrNotExist), want{"model folder", doctor.Warn, "does not exist", "RTAP_MODELS_DIR"})
	expect(t, doctor.JudgeModelFolder("/m", fs.ErrPermission), want{"model folder", doctor.Fail, "cannot be read", "chmod -R a+rX /m"})
	expect(t, doctor.JudgeModelFolder("", errors.New("no third_party")), want{"model folder", doctor.Fail, "no third_party", "RTAP_MODELS_DIR"})
}

// TestModelGathered asks an rtap-stt that is a script, and checks the file it names.
func TestModelGathered(t *testing.T) {
	model := cutModel(t)
	t.Setenv("RTAP_MODELS_DIR", filepath.Dir(model))
	folder := want{"model folder", doctor.OK, filepath.Dir(model), ""}
	for name, tt := range map[string]struct {
		script string
		model  string
		wants  []want
	}{
		"a plan": {
			`echo '{"copies":1,"model":{"model":"cut","engine":"whisper","path":"` + model + `","missing_cpu_features":[]},"fallback":{"asked":"x","error":"no model is called x"}}'`, "auto",
			[]want{{"model", doctor.Warn, "truncated", ""}, {"fallback model", doctor.Fail, "no model is called x", ""}},
		},
		"bad flags":          {"echo stt: it is all wrong >&2; exit 2", "auto", []want{{"model", doctor.Fail, "it is all wrong", "rtap-stt plan"}}},
		"another language":   {"echo hello", "auto", []want{{"model", doctor.Fail, "another version", ""}}},
		"no program":         {"", model, []want{{"model", doctor.Fail, model, "rtap models verify " + model}}},
		"no program, auto":   {"", "auto", []want{{"model", doctor.Warn, "without rtap-stt", "programs"}}},
		"no program, a name": {"", "whisper-tiny", []want{{"model", doctor.Fail, "whisper-tiny is not on this machine", "run `rtap models pull whisper-tiny`"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.script != "" {
				write(t, filepath.Join(dir, "rtap-stt"), []byte("#!/bin/sh\n"+tt.script+"\n"), 0o755)
			}
			s := site(t, dir)
			s.Config.STT.Model = tt.model
			expect(t, s.Check(t, "model"), append([]want{folder}, tt.wants...)...)
		})
	}
}
