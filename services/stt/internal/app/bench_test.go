package app_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/pkg/bench"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/pkg/wer"
	"github.com/rtap/rtap/services/stt/internal/app"
)

// runBench is `rtap-stt bench` with some flags.
func runBench(t *testing.T, args ...string) (bench.Report, error) {
	t.Helper()
	t.Chdir(testkit.Root(t))
	var out, complaints bytes.Buffer
	err := app.Run(t.Context(), lifecycle.Env{
		Service: "stt", Args: append([]string{"bench"}, args...), Stdout: &out, Stderr: &complaints,
	})
	t.Log(complaints.String())
	var r bench.Report
	if err == nil {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, out.String())
		}
	}
	return r, err
}

// TestBench measures Moonshine on a real recording and a minute and a half of noise.
func TestBench(t *testing.T) {
	_, err := os.Stat(filepath.Join(testkit.Root(t), "third_party", "audio", "jfk.wav")) // the default folder
	testkit.RequireNative(t, err)
	r, err := runBench(t, "--json", "--model", "moonshine-tiny-en", "--runs", "2", "--noise", "90s")
	testkit.RequireNative(t, err)
	if r.Engine != "moonshine" || r.Model != "moonshine-tiny-en" || r.Dtype != "int8" || r.Threads < 1 || r.Version == "" {
		t.Errorf("measured %s %s %s %s with %d threads", r.Engine, r.Model, r.Dtype, r.Version, r.Threads)
	}
	if r.Clips != 1 || r.Runs != 2 || r.Words != 22 || r.Errors > 1 || r.AudioSeconds != 11 || len(wer.Words(r.Recordings[0].Text)) < 21 {
		t.Errorf("%d of %d words wrong: %+v", r.Errors, r.Words, r.Recordings)
	}
	if r.LoadMS <= 0 || r.P50MS <= 0 || r.P95MS < r.P50MS || r.RTF <= 0 {
		t.Errorf("load %.0f ms, p50 %.0f ms, p95 %.0f ms, RTF %.3f", r.LoadMS, r.P50MS, r.P95MS, r.RTF)
	}
	// A copy shares the weights.
	if r.MemoryMB < 20 || r.MemoryMB > 1000 || r.CopyMB > r.MemoryMB/2 || r.FirstMB <= r.BeforeMB {
		t.Errorf("%.0f MB, another %.0f MB, from %.0f to %.0f MB", r.MemoryMB, r.CopyMB, r.BeforeMB, r.FirstMB)
	}
	if r.NoiseSeconds != 90 || r.NoiseSegments == 0 || r.NoiseTexts != 0 {
		t.Errorf("%.0f s of noise in %d segments gave %d texts: %+v", r.NoiseSeconds, r.NoiseSegments, r.NoiseTexts, r.Invented)
	}
}

func TestBenchRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"an argument":       {"jfk.wav"},
		"no runs":           {"--runs", "0"},
		"a folder of none":  {"--clips", t.TempDir()},
		"an unknown model":  {"--clips", filepath.Dir(testkit.Audio(t, "jfk.wav")), "--model", "whisper-minuscule"},
		"an unknown form":   {"--clips", filepath.Dir(testkit.Audio(t, "jfk.wav")), "--model", "whisper-base", "--dtype", "q1"},
		"a bad setting":     {"--set", "stt.beam_size=99"},
		"noise of negative": {"--noise", "-1s"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := runBench(t, args...); lifecycle.Code(err) != lifecycle.ExitUsage {
				t.Errorf("got %v", err)
			}
		})
	}
}
