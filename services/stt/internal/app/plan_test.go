package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/services/stt/internal/app"
)

func TestPlan(t *testing.T) {
	t.Setenv("RTAP_MODELS_DIR", t.TempDir())
	config := filepath.Join(t.TempDir(), "empty.yaml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	type planned struct{ Asked, Model, Engine, Why, Error string }
	for name, tt := range map[string]struct {
		set      []string
		want     planned
		fallback *planned
	}{
		"english": {nil, planned{"auto", "moonshine-tiny-en", "moonshine", "auto: English", ""}, nil},
		"german, nothing here": {
			[]string{"stt.language=de"}, planned{"auto", "", "", "", "run `rtap models pull whisper-base`"}, nil,
		},
		"a form that does not exist": {
			[]string{"stt.compute_dtype=float16"}, planned{"auto", "", "", "", "moonshine-tiny-en comes as int8 only"}, nil,
		},
		"fallback": {
			[]string{"stt.model=whisper-tiny", "stt.compute_dtype=q5_1", "stt.fallback_model=moonshine-tiny-en"},
			planned{"whisper-tiny", "", "", "", "rtap models pull whisper-tiny --dtype q5_1"},
			&planned{"moonshine-tiny-en", "moonshine-tiny-en", "moonshine", "stt.model", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"plan", "--config", config}
			for _, kv := range tt.set {
				args = append(args, "--set", kv)
			}
			var out bytes.Buffer
			if err := app.Run(t.Context(), lifecycle.Env{Service: "stt", Args: args, Stdout: &out, Stderr: t.Output()}); err != nil {
				t.Fatal(err)
			}
			var got struct {
				Copies   int
				Model    planned
				Fallback *planned
			}
			if err := json.Unmarshal(out.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			check := func(got, want planned) {
				if got.Asked != want.Asked || got.Model != want.Model || got.Engine != want.Engine ||
					!strings.Contains(got.Why, want.Why) || !strings.Contains(got.Error, want.Error) || (got.Error == "") != (want.Error == "") {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
			check(got.Model, tt.want)
			copies := 0 // of a model that is there
			if got.Model.Model != "" || got.Fallback != nil && got.Fallback.Model != "" {
				copies = runtime.GOMAXPROCS(0)
			}
			if got.Copies != copies || (got.Fallback == nil) != (tt.fallback == nil) {
				t.Fatalf("got %+v", got)
			}
			if tt.fallback != nil {
				check(*got.Fallback, *tt.fallback)
			}
		})
	}
	for _, args := range [][]string{{"plan", "--bogus"}, {"plan", "--config", config, "--set", "stt.beam_size=0"}} {
		err := app.Run(t.Context(), lifecycle.Env{Service: "stt", Args: args, Stdout: t.Output(), Stderr: t.Output()})
		if lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}
