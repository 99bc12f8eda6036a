package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/bench/rig"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/wav"
)

func environment(args string) lifecycle.Env {
	return lifecycle.Env{Args: strings.Fields(args), Stderr: &bytes.Buffer{}, Stdout: &bytes.Buffer{}}
}

func TestParseLive(t *testing.T) {
	for args, want := range map[string]liveOptions{
		"":                    {streams: 1, duration: 5 * time.Minute, idle: 30 * time.Second},
		"--streams 16":        {streams: 16, duration: 5 * time.Minute, idle: 8 * time.Second},
		"--utterances 300":    {streams: 1, utterances: 300, idle: 30 * time.Second},
		"--idle 2s":           {streams: 1, duration: 5 * time.Minute, idle: 2 * time.Second},
		"--duration 1h":       {streams: 1, duration: time.Hour, idle: 30 * time.Second},
		"--profile latency":   {streams: 1, duration: 5 * time.Minute, idle: 30 * time.Second},
		"--interims=false":    {streams: 1, duration: 5 * time.Minute, idle: 30 * time.Second},
		"--set vad.tail_ms=3": {streams: 1, duration: 5 * time.Minute, idle: 30 * time.Second},
	} {
		o, err := parseLive(environment(args), "rtap bench", liveOptions{reference: true})
		if err != nil || o.streams != want.streams || o.duration != want.duration || o.idle != want.idle || o.utterances != want.utterances || !o.reference {
			t.Errorf("%q: %+v, %v", args, o, err)
		}
		set := map[string]string{"--profile latency": "profile=latency", "--interims=false": "stt.interim_interval_ms=0", "--set vad.tail_ms=3": "vad.tail_ms=3"}[args]
		if got := strings.Join(o.flags.Set, " "); got != set {
			t.Errorf("%q: settings %q, want %q", args, got, set)
		}
	}
	for _, bad := range []string{"--streams 0", "--streams 1000", "--stt 0", "--via tape", "clip.wav", "--nonsense", "--duration -1s", "--compare /nowhere.json"} {
		if err := whole(t.Context(), environment(bad), "rtap bench", liveOptions{}); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestParseEndpointing(t *testing.T) {
	o, err := parseEndpointing(environment("--hangovers 96,160 --offsets 0.5 --contexts off,on --phases 0,16"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range o.cells {
		got = append(got, fmt.Sprint(c.HangoverMS, c.Offset, c.Context))
	}
	if want := []string{"96 0.5 false", "160 0.5 false", "96 0.5 true", "160 0.5 true"}; !slices.Equal(got, want) || !slices.Equal(o.phases, []int{0, 16}) {
		t.Errorf("got %v at %v, want %v", got, o.phases, want)
	}
	if o, err = parseEndpointing(environment("")); err != nil {
		t.Fatal(err)
	}
	shipped, err := o.flags.Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(o.cells, func(c cell) bool { return c.Offset == shipped.VAD.OffsetThreshold && c.Context == shipped.STT.Context }) {
		t.Errorf("no line is of the offset that is shipped, %g", shipped.VAD.OffsetThreshold)
	}
	// A line's own settings stand over the user's, and those over what is off in a table.
	for set, want := range map[string]bool{"": false, "--set stt.speculate=true --set vad.eager_hangover_ms=64 --set vad.hangover_ms=500": true} {
		if o, err = parseEndpointing(environment(set + " --hangovers 160 --offsets 0.5 --contexts off")); err != nil || len(o.cells) != 1 {
			t.Fatalf("%+v, %v", o, err)
		}
		flags := o.cells[0].settings(o.flags)
		l, err := flags.Load(nil)
		if err != nil {
			t.Fatal(err)
		}
		if l.STT.Speculate != want || (l.VAD.EagerHangoverMS == 64) != want || l.VAD.HangoverMS != 160 || l.STT.InterimIntervalMS != 0 || l.STT.Context {
			t.Errorf("%q: %+v %+v", set, l.VAD, l.STT)
		}
	}
	for _, bad := range []string{"--contexts both", "--hangovers x", "--offsets 0.5,", "--contexts maybe", "--phases -8", "jfk.wav", "--hangovers= "} {
		if _, err := parseEndpointing(environment(bad)); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestSearch(t *testing.T) {
	for _, tt := range []struct {
		capacity, most int
		tried          []int
	}{
		{0, 64, []int{1}}, {1, 64, []int{1, 2}}, {5, 64, []int{1, 2, 4, 8, 6, 5}}, {100, 64, []int{1, 2, 4, 8, 16, 32, 64}},
		{100, 20, []int{1, 2, 4, 8, 16, 20}}, {21, 64, []int{1, 2, 4, 8, 16, 32, 24, 20, 22}}, {100, 1, []int{1}},
	} {
		var tried []int
		search(tt.most, func(n int) bool { tried = append(tried, n); return n <= tt.capacity })
		if !slices.Equal(tried, tt.tried) {
			t.Errorf("capacity %d of %d: tried %v, want %v", tt.capacity, tt.most, tried, tt.tried)
		}
	}
}

// TestProcess makes figures of samples a second apart; the process is there for three.
func TestProcess(t *testing.T) {
	var samples []rig.Sample
	for i := range 5 {
		s := rig.Sample{At: int64(i) * 1e9}
		if i > 0 && i < 4 {
			s.Processes = []rig.Process{{PID: 7, Name: "x", CPUSeconds: 3 + .25*float64(i), RSS: int64(100+i) * mb, Read: uint64(i) * 8000, Disk: uint64(i) * 1000}}
		}
		samples = append(samples, s)
	}
	q := process("x", 7, nil, samples)
	if q.SpeakingCPU != 25 || q.IdleCPU != 0 || q.RSSStartMB != 101 || q.RSSEndMB != 103 || q.RSSMaxMB != 103 || q.ReadKB != 8 || q.DiskKB != 1 {
		t.Errorf("%+v", q)
	}
	if q := process("y", 8, samples, samples); q.SpeakingCPU != 0 || q.RSSMaxMB != 0 {
		t.Errorf("one that never was: %+v", q)
	}
	if n := deaths(samples); n != 1 {
		t.Errorf("%d deaths", n)
	}
	if got := slope([]float64{1, 2, 3, 4}, []float64{10, 12, 14, 16}); got != 2 {
		t.Errorf("slope %g", got)
	}
	if got := slope([]float64{1}, []float64{5}); got != 0 {
		t.Errorf("slope of a point %g", got)
	}
}

// TestUtterances: what other recognisers get is the same material, whole and in order.
func TestUtterances(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	var pcm []float32
	for i := range 4 * 16000 {
		x := float32(.0005 * math.Sin(float64(i*i%7919)))
		if at := i % 32000; at > 8000 && at < 22000 { // speech of 0.9 s, twice, 1.1 s apart
			x += float32(.3 * math.Sin(float64(i)/11))
		}
		pcm = append(pcm, x)
	}
	for name, raw := range map[string][]byte{"a.wav": wav.Format(wav.Audio{SampleRateHz: 16000, PCM: pcm}), "a.txt": []byte("one two")} {
		if err := os.WriteFile(filepath.Join(dir, name), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := utterances(t.Context(), environment("--streams 2 --duration 10s --clips "+dir+" --out "+out)); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "utterances.json"))
	if err != nil {
		t.Fatal(err)
	}
	var streams []exported
	if err := json.Unmarshal(raw, &streams); err != nil || len(streams) != 2 {
		t.Fatalf("%d streams, %v", len(streams), err)
	}
	for _, s := range streams {
		// Between clips the pause may be too short to cut at.
		if words := len(strings.Fields(s.Text)); words < 4 || len(s.Utterances) < words/2 || len(s.Utterances) > words {
			t.Errorf("%s: %d words, %d utterances", s.Stream, words, len(s.Utterances))
		}
		before := 0.0
		for _, u := range s.Utterances {
			a, err := wav.Read(filepath.Join(out, u.File))
			if err != nil {
				t.Fatal(err)
			}
			if got := float64(len(a.PCM)) / 16000; got != u.Seconds || u.End <= before || u.Seconds < 1.2 {
				t.Errorf("%+v: %g s", u, got)
			}
			before = u.End
		}
	}
	for _, bad := range []string{"", "--out x --streams 0", "--out x y", "--out x --duration 0s"} {
		if err := utterances(t.Context(), environment(bad)); lifecycle.Code(err) != lifecycle.ExitUsage {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestEndpointingTable(t *testing.T) {
	c := cell{HangoverMS: 96, Offset: .9, Context: true}
	c.Ends.Segments, c.Ends.Eager, c.Ends.Inside, c.Ends.Forced, c.Ends.Expected = 40, 12, 7, 1, 30
	var out bytes.Buffer
	if err := endpointingTable(&out, endpointingResult{Cells: []cell{c}, Left: 3}); err != nil {
		t.Fatal(err)
	}
	var header, line []string
	for l := range strings.Lines(out.String()) {
		switch f := strings.Fields(strings.ReplaceAll(l, "0 of", "0_of")); {
		case strings.HasPrefix(l, "HANGOVER"):
			header = f
		case strings.HasPrefix(l, "96"):
			line = f
		}
	}
	if got := strings.Join(header[len(header)-6:], " ") + ": " + strings.Join(line[len(line)-7:], " "); got != "SEGMENTS EAGER INSIDE FORCED LATE LOST: 40 12 7 1 0 0_of 30" {
		t.Error(got)
	}
	if !strings.Contains(out.String(), "unnamed: 0 cores") || !strings.Contains(out.String(), "3 lines were left out") {
		t.Error(out.String())
	}
}
