package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/report"
	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// TestCapacity reads what --json wrote of two runs.
func TestCapacity(t *testing.T) {
	dir := t.TempDir()
	write := func(streams int, mb float64) string {
		r := report.Report{Schema: report.Schema, Setup: report.Setup{Streams: streams, STT: 1, Seconds: 100, SpeechSeconds: 100 * float64(streams)}}
		r.Load.SpeakingCPU = 20
		r.Processes = []report.Process{{Name: "rtap-vad", SpeakingCPU: 20, RSSMaxMB: mb}}
		r.Storage = map[string]rig.Stored{"RTAP_AUDIO": {Messages: 10, Bytes: 12000}}
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d-%g.json", streams, mb))
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one, four := write(1, 80), write(4, 92)
	env := environment(one + " --streams 11 " + four)
	if err := capacity(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	if out := env.Stdout.(*bytes.Buffer).String(); !strings.Contains(out, "memory  120 MB of all processes") || !strings.Contains(out, "4.00\n") {
		t.Error(out)
	}
	env = environment("--json --streams 2 " + one)
	if err := capacity(t.Context(), env); err != nil {
		t.Fatal(err)
	}
	var need map[string]any
	if err := json.Unmarshal(env.Stdout.(*bytes.Buffer).Bytes(), &need); err != nil || need["memory_all_mb"] != 80. || need["cores_per_stream"] != .2 || need["memory_per_stream_mb"] != nil {
		t.Errorf("%v, %v", need, err)
	}
	for _, bad := range []string{"", one + " " + one, one + " " + four + " " + four, one + " " + filepath.Join(dir, "none.json"), one + " --talk 2"} {
		if err := capacity(t.Context(), environment(bad)); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
