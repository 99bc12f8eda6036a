package bench

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/models"
)

var update = flag.Bool("update", false, "write the golden files")

func TestTable(t *testing.T) {
	res := result{
		Machine: machineInfo{CPU: "Good CPU", Cores: 2, Threads: 4, Usable: 3},
		Models: []row{
			{subject: subject{"whisper-huge", "f16"}, Err: "running rtap-stt: exit status 2: it needs 9000 MB"},
			{subject: subject{"moonshine-tiny-en", ""}, Report: &bench.Report{
				Engine: "moonshine", Model: "moonshine-tiny-en", Dtype: "int8", Version: "0.1.29", Threads: 1, LoadMS: 1234.5, MemoryMB: 250.4, CopyMB: 204.5,
				Clips: 10, Runs: 2, AudioSeconds: 72.4, Words: 185, Errors: 9, WER: 9.0 / 185, Interval: bench.Interval(9, 185), P50MS: 262.3, P95MS: 773.4, RTF: 0.0528,
				Unheard: map[string]int{}, NoiseSeconds: 600, NoiseSegments: 75, NoiseDropped: map[string]int{"silence": 74, "uncertain": 1},
			}},
			{subject: subject{"/models/mine.bin", ""}, Report: &bench.Report{
				Engine: "whisper", Model: "mine", Dtype: "q5_1", Version: "1.9.1", Threads: 2, LoadMS: 98, MemoryMB: 97, Clips: 10, Runs: 2, Words: 185, Errors: 200,
				WER: 200.0 / 185, Interval: bench.Interval(200, 185), P50MS: 854, P95MS: 1803, RTF: 1.5, Unheard: map[string]int{"silence": 1, "repetition": 2},
				NoiseSeconds: 600, NoiseSegments: 75, NoiseTexts: 1, NoiseDropped: map[string]int{"sound": 74},
				Invented: []bench.Invented{{Kind: "rain", Samples: 40000, Peak: 0.1, Seed: 19, Text: "Thank you.", Confidence: 0.71}},
			}},
			{subject: subject{"whisper-base", "q5_1"}, Report: &bench.Report{Engine: "whisper", Model: "whisper-base", Dtype: "q5_1", Interval: bench.Interval(0, 22), Words: 22}},
		},
	}
	var out bytes.Buffer
	if err := table(&out, res); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("got\n%swant\n%s", out.Bytes(), want)
	}
}

func TestChoose(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"ggml-base-q5_1.bin", "ggml-base.bin", "stranger.bin"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("RTAP_MODELS_DIR", dir)
	t.Setenv("RTAP_THIRD_PARTY", t.TempDir()) // nothing pinned is here
	c, err := models.Load()
	if err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(dir, "stranger.bin")
	q5, f16 := subject{"whisper-base", "q5_1"}, subject{"whisper-base", "f16"}
	for name, tt := range map[string]struct {
		list string
		want []subject
		err  string
	}{
		"all":                {"all", []subject{q5, f16, {stranger, ""}}, ""},
		"a name":             {"whisper-base", []subject{q5, f16}, ""},
		"a path":             {stranger, []subject{{stranger, ""}}, ""},
		"nothing twice":      {"whisper-base, all," + stranger, []subject{q5, f16, {stranger, ""}}, ""},
		"not here":           {"all,whisper-tiny", nil, "rtap models pull whisper-tiny"},
		"unknown":            {"whisper-bas", nil, "whisper-base"},
		"a path to nowhere":  {"/nowhere/x.bin", nil, "/nowhere/x.bin"},
		"nothing but commas": {",", nil, "no model to measure"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := choose(c, tt.list)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
	if _, err := choose(c, "whisper-tiny"); !errors.Is(err, models.ErrAbsent) {
		t.Errorf("got %v", err)
	}
}

func TestParse(t *testing.T) {
	o, err := parse(lifecycle.Env{Args: strings.Fields("--models a,b --noise 10m --runs 3 --clips X --set a.b=c --set d.e=f --config F"), Stderr: &bytes.Buffer{}})
	if err != nil || o.models != "a,b" || o.noise != 10*time.Minute {
		t.Fatalf("%+v, %v", o, err)
	}
	want := "bench --json --model a --runs 3 --noise 10m0s --dtype q8_0 --clips X --config F --set a.b=c --set d.e=f"
	if got := strings.Join(o.arguments(subject{"a", "q8_0"}), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{"--runs 0", "--noise -1s", "jfk.wav", "--nonsense"} {
		if _, err := parse(lifecycle.Env{Args: strings.Fields(bad), Stderr: &bytes.Buffer{}}); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if err := Run(t.Context(), lifecycle.Env{Args: []string{"nothing"}, Stderr: &bytes.Buffer{}}); lifecycle.Code(err) != lifecycle.ExitUsage {
		t.Errorf("got %v", err)
	}
}
