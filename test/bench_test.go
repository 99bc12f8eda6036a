package test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// TestBench runs the whole bench for a few seconds: what it reports must hang together. How
// fast anything was is not asserted.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	clip, err := os.ReadFile(testkit.Audio(t, "jfk.wav"))
	if err != nil {
		t.Fatal(err)
	}
	clips := filepath.Join(dir, "clips")
	if err := os.Mkdir(clips, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"jfk.wav": clip, "jfk.txt": []byte(jfk)} {
		if err := os.WriteFile(filepath.Join(clips, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, page := filepath.Join(dir, "report.json"), filepath.Join(dir, "report.html")
	code, out := run(t, nil, "bench", "--clips", clips, "--streams", "2", "--duration", "12s", "--idle", "6s", "--json", report, "--html", page, "--messages", filepath.Join(dir, "messages"))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for _, want := range []string{"GOAL", "TTFS with 2 streams", "NOT FOR PUBLICATION", "nats-server", "rtap-vad", "cut at 700 ms",
		"memory over time", "\ndrafts shed: ", "\nerrors: ", "\ncontext of finals: "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	raw, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Utterances int
		Latency    struct{ TTFS, Pipeline, Interim, Transport struct{ N int } } `json:"latency_ms"`
		Accuracy   struct {
			Words int
			Rate  float64
		}
		Reference struct{ Words int }
		Ends      struct{ Expected, Segments, Unheard int }
		Loss      struct{ Holes, Doubled, Undelivered int }
		Processes []struct{ Name string }
		Storage   map[string]struct{ Messages int }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	// Two streams with at least 22 words each, heard at least half right even on a busy machine.
	if r.Accuracy.Words < 44 || r.Accuracy.Rate > .5 || r.Reference.Words != 88 {
		t.Errorf("words: %+v, reference %+v", r.Accuracy, r.Reference)
	}
	if r.Utterances < 4 || r.Latency.TTFS.N != r.Utterances || r.Latency.Pipeline.N != r.Ends.Segments || r.Latency.Interim.N == 0 || r.Latency.Transport.N == 0 {
		t.Errorf("%d utterances, %+v, %+v", r.Utterances, r.Latency, r.Ends)
	}
	if l := r.Loss; l.Holes+l.Doubled+l.Undelivered != 0 {
		t.Errorf("lost: %+v", l)
	}
	if len(r.Processes) != 6 || r.Storage["RTAP_AUDIO"].Messages == 0 {
		t.Errorf("%d processes, storage %v", len(r.Processes), r.Storage)
	}
	if st, err := os.Stat(page); err != nil || st.Size() < 10000 {
		t.Errorf("the page: %v, %v", st, err)
	}
	// The same from the side of a client that sends the audio.
	listen := filepath.Join(dir, "listen.json")
	code, out = run(t, nil, "bench", "--clips", clips, "--via", "listen", "--duration", "5s", "--idle", "6s", "--reference=false", "--json", listen, "--compare", report)
	if code != 0 || !strings.Contains(out, "NOT ALIKE: source was file, is listen") {
		t.Fatalf("from a client's side: exit code %d: %s", code, out)
	}
	if raw, err = os.ReadFile(listen); err != nil {
		t.Fatal(err)
	}
	r.Utterances, r.Accuracy.Words = 0, 0
	if err := json.Unmarshal(raw, &r); err != nil || r.Utterances < 2 || r.Accuracy.Words < 22 || r.Accuracy.Rate > .5 {
		t.Errorf("from a client's side: %v: %d utterances, %+v", err, r.Utterances, r.Accuracy)
	}
	code, out = run(t, nil, "bench", "endpointing", "--clips", clips, "--hangovers", "160", "--offsets", "0.5", "--contexts", "on", "--phases", "0", "--json", "-")
	var e struct {
		Cells []struct {
			Accuracy struct{ Words int }
			Ends     struct{ Segments int }
			Closing  struct{ N int } `json:"closing_ms"`
		}
	}
	at := strings.IndexByte(out, '{')
	if code != 0 || at < 0 {
		t.Fatalf("endpointing: exit code %d: %s", code, out)
	}
	if err := json.Unmarshal([]byte(out[at:]), &e); err != nil || len(e.Cells) != 1 || e.Cells[0].Accuracy.Words != 22 || e.Cells[0].Closing.N == 0 {
		t.Errorf("endpointing: %v: %+v", err, e)
	}
}
