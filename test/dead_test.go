package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// TestGivenUpSegmentsComeLate lets every inference take too long, so that each segment ends
// a worker until it is given up, and then has them tried again by workers that may take
// their time: every word comes, once, in finals that are marked.
func TestGivenUpSegmentsComeLate(t *testing.T) {
	data, recording := t.TempDir(), testkit.Audio(t, "jfk.wav")
	// Each segment costs a worker a life or two; none is taken for the other's doing.
	p := up(t, "--until-done", "--data-dir", data, "--source", "file:"+recording+"?stream=talk", "--set", "stt.job_timeout=1ms",
		"--set", "stt.max_deliveries=1", "--set", "stt.speculate=false", "--set", "stt.interim_interval_ms=0")
	if got := p.finals(t)["talk"]; len(got) > 0 {
		t.Fatalf("a text in spite of all: %s", text(got))
	}
	p = up(t, "--data-dir", data, "--source", "listen")
	ready(t, p)
	operator := func(args ...string) string {
		t.Helper()
		args = append(args, "--nats", fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP))
		code, out := run(t, nil, args...)
		if code != 0 {
			t.Errorf("rtap %s: exit code %d: %s", strings.Join(args, " "), code, out)
		}
		return out
	}
	type line struct {
		Number  uint64
		Stream  string
		Reason  string
		Ordinal uint64
		Seconds float64 `json:"audio_seconds"`
	}
	var letters []line
	for l := range strings.Lines(operator("dead", "list", "--json")) {
		var x line
		if err := json.Unmarshal([]byte(l), &x); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
		if x.Stream != "talk" || x.Reason == "" || x.Ordinal == 0 || x.Seconds <= 0 {
			t.Errorf("a letter %+v", x)
		}
		letters = append(letters, x)
	}
	if len(letters) == 0 {
		t.Fatal("no dead letter")
	}
	if out := operator("dead", "list"); !strings.Contains(out, "REASON") || strings.Count(out, "\n") != len(letters)+1 {
		t.Errorf("the list:\n%s", out)
	}
	file := filepath.Join(t.TempDir(), "dead.wav")
	if out := operator("dead", "show", fmt.Sprint(letters[0].Number), "--wav", file); !strings.Contains(out, letters[0].Reason) {
		t.Errorf("shown: %s", out)
	}
	if audio, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(audio, []byte("RIFF")) || len(audio) < 1000 {
		t.Errorf("%d bytes of audio, %v", len(audio), err)
	}
	out := operator("dead", "retry", "--all", "--wait", "5m")
	// Alone, a short segment may hold no words; then it is said, and there is no final.
	want := strings.Count(out, ": transcribed") - strings.Count(out, "nothing is said in it")
	if want == 0 || strings.Count(out, ": transcribed") != len(letters) {
		t.Fatalf("%d letters were tried again:\n%s", len(letters), out)
	}
	if out := operator("dead", "list"); !strings.Contains(out, "no segment was given up") {
		t.Errorf("after the retry:\n%s", out)
	}
	if code, out := run(t, nil, "dead", "retry", fmt.Sprint(letters[0].Number), "--nats", fmt.Sprintf("nats://127.0.0.1:%d", p.natsTCP)); code != 2 {
		t.Errorf("a letter that has gone: exit code %d: %s", code, out)
	}
	ws := dial(t, fmt.Sprintf("ws://127.0.0.1:%d/stream?streams=talk&from_seq=1", p.ws))
	defer func() { _ = ws.Close() }()
	_ = ws.SetReadDeadline(time.Now().Add(time.Minute))
	var got []*rtapv1.Results
	for len(got) < want {
		_, data, err := ws.ReadMessage()
		if err != nil {
			t.Fatalf("after %d of %d late finals: %v", len(got), want, err)
		}
		if r := (&rtapv1.Results{}); protojson.Unmarshal(data, r) == nil && r.GetIsFinal() {
			got = append(got, r)
		}
	}
	ordinals := map[uint32]bool{}
	for i, r := range got {
		if !r.GetRtap().GetLate() || r.GetRtap().GetSeq() != uint32(i+1) || ordinals[r.GetRtap().GetOrdinal()] {
			t.Errorf("final %d: late %v, seq %d, ordinal %d", i, r.GetRtap().GetLate(), r.GetRtap().GetSeq(), r.GetRtap().GetOrdinal())
		}
		ordinals[r.GetRtap().GetOrdinal()] = true
	}
	// They come as their texts do, from several workers.
	slices.SortFunc(got, func(a, b *rtapv1.Results) int {
		return int(a.GetRtap().GetOrdinal()) - int(b.GetRtap().GetOrdinal())
	})
	// Each is heard alone now, since what was said before it had no text: exactly as it is by workers that use no
	// context.
	if here, alone := described(got), described(undisturbed(t, recording, "stt.context=false", "stt.speculate=false", "stt.interim_interval_ms=0")); !slices.Equal(here, alone) {
		t.Errorf("heard late    %q\nwithout faults %q", here, alone)
	}
	p.terminate()
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
