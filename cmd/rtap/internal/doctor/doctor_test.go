package doctor_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/pkg/ggml"
	"github.com/rtap/rtap/pkg/lifecycle"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// want is what a finding must hold.
type want struct {
	name           string
	status         doctor.Status
	detail, advice string
}

func expect(t *testing.T, got []doctor.Finding, wants ...want) {
	t.Helper()
	if len(got) != len(wants) {
		t.Errorf("%d findings, want %d: %+v", len(got), len(wants), got)
		return
	}
	for i, w := range wants {
		f := got[i]
		if f.Name != w.name || f.Status != w.status || !strings.Contains(f.Detail, w.detail) || !strings.Contains(f.Advice, w.advice) {
			t.Errorf("got  %+v\nwant %+v", f, w)
		}
		if (f.Status == doctor.Fail || f.Status == doctor.Warn) && f.Advice == "" {
			t.Errorf("%s %s says nothing about what to do", f.Status, f.Name)
		}
	}
}

func write(t *testing.T, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// cutModel writes the beginning of a Whisper model's file.
func cutModel(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	for _, part := range []any{
		uint32(0x67676d6c),
		ggml.Header{Vocabulary: 51864, AudioCtx: 1500, AudioState: 384, AudioHeads: 6, AudioLayers: 4, TextCtx: 448, TextState: 384, TextHeads: 6, TextLayers: 4, Mels: 80, FileType: 1},
		[2]int32{80, 201}, make([]float32, 1000),
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	return write(t, filepath.Join(t.TempDir(), "ggml-cut.bin"), b.Bytes(), 0o600)
}

// TestWhole examines the machine that runs the test, with none of RTAP's programs there.
func TestWhole(t *testing.T) {
	model := cutModel(t)
	config := write(t, filepath.Join(t.TempDir(), "rtap.yaml"), nil, 0o600)
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		args = append([]string{"--config", config, "--data-dir", filepath.Join(t.TempDir(), "data"), "--set", "stt.model=" + model}, args...)
		err := doctor.Run(t.Context(), lifecycle.Env{Service: "rtap", Version: "dev", Args: args, Stdout: &out, Stderr: t.Output(), Environ: os.Environ()})
		return out.String(), err
	}
	out, err := run("--json")
	var exit *lifecycle.ExitError
	if !errors.As(err, &exit) || exit.Code != lifecycle.ExitFailure {
		t.Errorf("exit: %v", err)
	}
	var found []doctor.Finding
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	seen := map[string]doctor.Finding{}
	for _, f := range found {
		seen[f.Name] = f
	}
	for _, name := range []string{"configuration", "programs", "native parts", "model folder", "model", "cpu", "memory", "container", "audio device", "nats", "disk", "fsync", "clock", "open files"} {
		if seen[name].Status == "" {
			t.Errorf("no finding of %s", name)
		}
	}
	if f := seen["model"]; f.Status != doctor.Fail || !strings.Contains(f.Detail, model) || !strings.Contains(f.Detail, "truncated") || !strings.Contains(f.Advice, "rtap models list") {
		t.Errorf("the cut model: %+v", f)
	}
	if f := seen["programs"]; f.Status != doctor.Fail || !strings.Contains(f.Detail, "rtap-vad") || !strings.Contains(f.Advice, "make build") {
		t.Errorf("the programs: %+v", f)
	}
	for _, name := range []string{"configuration", "disk", "fsync"} {
		if f := seen[name]; f.Status == doctor.Fail || f.Status == doctor.Info {
			t.Errorf("%+v", f)
		}
	}

	text, err := run("--set", "vad.tail_ms=long")
	if lifecycle.Code(err) != lifecycle.ExitFailure {
		t.Errorf("exit: %v", err)
	}
	for _, want := range []string{"FAIL  configuration    --set: vad.tail_ms: bad value \"long\"", "→ mend it", "FAIL\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestArguments(t *testing.T) {
	for arg, code := range map[string]int{"now": lifecycle.ExitUsage, "--bogus": lifecycle.ExitUsage, "-h": lifecycle.ExitOK} {
		err := doctor.Run(t.Context(), lifecycle.Env{Args: []string{arg}, Stdout: t.Output(), Stderr: t.Output()})
		if lifecycle.Code(err) != code {
			t.Errorf("%s: %v", arg, err)
		}
	}
}
