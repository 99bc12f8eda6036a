package doctor_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
)

func TestPrograms(t *testing.T) {
	absent := fmt.Errorf("running: %w", fs.ErrNotExist)
	for name, tt := range map[string]struct {
		facts doctor.Programs
		wants []want
	}{
		"whole":       {doctor.Programs{Dir: "/bin", Own: "v1", Programs: []doctor.Program{{"rtap-vad", "v1", nil}}}, []want{{"programs", doctor.OK, "rtap-vad start, in /bin", ""}}},
		"absent":      {doctor.Programs{Dir: "/bin", Programs: []doctor.Program{{"rtap-vad", "", absent}, {"rtap-stt", "", absent}}}, []want{{"programs", doctor.Fail, "rtap-vad, rtap-stt are not in /bin", "make build"}}},
		"apart":       {doctor.Programs{Apart: true, Programs: []doctor.Program{{"rtap-vad", "", absent}}}, []want{{"programs", doctor.Warn, "rtap-vad is not", "a machine of its own"}}},
		"other":       {doctor.Programs{Own: "v1", Programs: []doctor.Program{{"rtap-vad", "v2", nil}}}, []want{{"programs", doctor.Warn, "rtap-vad is v2, rtap is v1", "make build"}}},
		"development": {doctor.Programs{Own: "dev", Programs: []doctor.Program{{"rtap-vad", "v2", nil}}}, []want{{"programs", doctor.OK, "rtap-vad", ""}}},
		"no library": {
			doctor.Programs{Programs: []doctor.Program{{"rtap-egress", "", errors.New("error while loading shared libraries: libzmq.so.5")}, {"rtap-vad", "", errors.New("exec format error")}}},
			[]want{{"programs", doctor.Fail, "libzmq.so.5", "make deps"}, {"programs", doctor.Fail, "exec format error", "make build"}},
		},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestProgramsGathered(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"rtap-capture": "echo rtap-capture dev", "rtap-vad": "echo rtap-vad dev",
		"rtap-stt": "echo first >&2; echo libx.so: cannot open shared library >&2; exit 127", "rtap-egress": "kill -ILL $$",
	} {
		write(t, filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755)
	}
	expect(t, site(t, dir).Check(t, "programs"),
		want{"programs", doctor.Fail, "rtap-stt does not start: libx.so: cannot open shared library (exit status 127)", "make deps"},
		want{"programs", doctor.Fail, "illegal instruction", "make build"})
}

func TestNativeParts(t *testing.T) {
	bad := errors.New("/x is not the pinned file: expected 5 bytes, found 3: run `make deps`")
	expect(t, doctor.NativeParts{Root: "/r", Parts: []doctor.Part{{"onnxruntime", nil}, {"jfk", nil}}}.Findings(),
		want{"native parts", doctor.OK, "2 pinned files are whole, in /r", ""})
	expect(t, doctor.NativeParts{Parts: []doctor.Part{{"silero-vad-v6", bad}, {"jfk", bad}, {"moonshine-tiny-en/encoder", bad}}}.Findings(),
		want{"native parts", doctor.Fail, "/x is not the pinned file: expected 5 bytes, found 3", "run `make deps`"},
		want{"native parts", doctor.Warn, "the mock plays", "run `make deps`"},
		want{"native parts", doctor.Warn, "/x", "run `make deps`"})
	expect(t, doctor.NativeParts{Err: errors.New("third_party/manifest.json not found")}.Findings(),
		want{"native parts", doctor.Fail, "not found", "RTAP_THIRD_PARTY"})
}
