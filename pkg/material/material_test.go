package material_test

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/material"
	"github.com/rtap/rtap/pkg/wav"
)

const rateHz = 16000

// voice is a loud tone where it speaks, and a little hiss everywhere.
func voice(seconds float64, speech ...[2]float64) []float32 {
	out := make([]float32, int(seconds*rateHz))
	for i := range out {
		out[i] = 0.0005 * float32(math.Sin(float64(i*i%7919)))
		for _, s := range speech {
			if at := float64(i) / rateHz; at >= s[0] && at < s[1] {
				out[i] += 0.3 * float32(math.Sin(2*math.Pi*220*float64(i)/rateHz))
			}
		}
	}
	return out
}

// folder writes recordings, their texts and labels.
func folder(t *testing.T, recordings map[string][]float32, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, pcm := range recordings {
		texts[name] = string(wav.Format(wav.Audio{SampleRateHz: rateHz, PCM: pcm}))
	}
	for name, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSpeechIsFound(t *testing.T) {
	for name, tt := range map[string]struct {
		pcm  []float32
		want [][2]float64
	}{
		"one":                     {voice(3, [2]float64{1, 2}), [][2]float64{{1, 2}}},
		"to the end":              {voice(3, [2]float64{1, 3}), [][2]float64{{1, 3}}},
		"a short pause inside":    {voice(4, [2]float64{1, 2}, [2]float64{2.1, 3}), [][2]float64{{1, 3}}},
		"a long pause inside":     {voice(4, [2]float64{1, 2}, [2]float64{2.4, 3}), [][2]float64{{1, 2}, {2.4, 3}}},
		"a click":                 {voice(4, [2]float64{1, 2}, [2]float64{3, 3.02}), [][2]float64{{1, 2}}},
		"a noise far from speech": {voice(6, [2]float64{1, 2}, [2]float64{4, 4.2}), [][2]float64{{1, 2}}},
		"a short word near it":    {voice(6, [2]float64{1, 2}, [2]float64{2.5, 2.7}), [][2]float64{{1, 2}, {2.5, 2.7}}},
	} {
		t.Run(name, func(t *testing.T) {
			clips, err := material.Read(folder(t, map[string][]float32{"a.wav": tt.pcm}, map[string]string{"a.txt": "ay"}))
			if err != nil {
				t.Fatal(err)
			}
			got := clips[0].Speech
			ok := len(got) == len(tt.want) && !clips[0].Hand
			for i := 0; ok && i < len(got); i++ {
				ok = math.Abs(float64(got[i].Start)/rateHz-tt.want[i][0]) < 0.021 && math.Abs(float64(got[i].End)/rateHz-tt.want[i][1]) < 0.021
			}
			if !ok {
				t.Errorf("got %v samples, want %v s", got, tt.want)
			}
		})
	}
}

func TestLabels(t *testing.T) {
	pcm := voice(3, [2]float64{1, 2})
	for name, tt := range map[string]struct {
		csv  string
		want []material.Interval
		err  string
	}{
		"by hand":        {"start_s,end_s,speech\n0,0.5,0\n0.5,1.25,1\n1.25,3,0\n", []material.Interval{{Start: 8000, End: 20000}}, ""},
		"no header":      {"0.5,1.25,1\n", []material.Interval{{Start: 8000, End: 20000}}, ""},
		"beyond the end": {"2,9,1\n", []material.Interval{{Start: 32000, End: 48000}}, ""},
		"out of order":   {"1,2,1\n0.5,1.5,1\n", nil, "line 2"},
		"backwards":      {"2,1,1\n", nil, "line 1"},
		"not a number":   {"0,one,1\n", nil, "line 1"},
		"not a switch":   {"0,1,yes\n", nil, "line 1"},
		"no speech":      {"0,1,0\n", nil, "holds no speech"},
		"too few fields": {"0,1\n", nil, "labels"},
	} {
		t.Run(name, func(t *testing.T) {
			clips, err := material.ReadLabelled(folder(t, map[string][]float32{"a.wav": pcm}, map[string]string{"a.csv": tt.csv}))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || !slices.Equal(clips[0].Speech, tt.want) || !clips[0].Hand || clips[0].Text != "" {
				t.Errorf("got %+v, %v", clips[0].Speech, err)
			}
		})
	}
	if _, err := material.ReadLabelled(t.TempDir()); err == nil {
		t.Error("an empty folder was taken")
	}
}

func clips(t *testing.T) (spoken, labelled []material.Clip) {
	t.Helper()
	spoken, err := material.Read(folder(t, map[string][]float32{
		"a.wav": voice(3, [2]float64{1, 2}), "b.wav": voice(4, [2]float64{0.5, 1.5}, [2]float64{2.5, 4}),
	}, map[string]string{"a.txt": "ay", "b.txt": "bee"}))
	if err != nil {
		t.Fatal(err)
	}
	labelled, err = material.ReadLabelled(folder(t, map[string][]float32{"c.wav": voice(3, [2]float64{1, 2})}, map[string]string{"c.csv": "1,2,1\n"}))
	if err != nil {
		t.Fatal(err)
	}
	return spoken, labelled
}

func TestMake(t *testing.T) {
	spoken, labelled := clips(t)
	o := material.Options{Streams: 3, Seed: 7, Lead: 2 * time.Second, Stagger: time.Second, Duration: time.Minute, Ends: 60}
	recordings := material.Make(spoken, labelled, o)
	ends := 0
	for i := range recordings {
		rec := &recordings[i]
		if rec.Samples < 60*rateHz || rec.Parts[0].Speech[0].Start < 2*rateHz {
			t.Errorf("%s: %d samples, the first word at %d", rec.Stream, rec.Samples, rec.Parts[0].Speech[0].Start)
		}
		for n, p := range rec.Parts {
			if (p.Text == "") != (n%3 == 2) {
				t.Errorf("%s: part %d is %s", rec.Stream, n, p.Name)
			}
			if n == 0 {
				continue
			}
			before := rec.Parts[n-1]
			pause := p.Speech[0].Start - before.Speech[len(before.Speech)-1].End
			if pause < rateHz/5 || (p.Text == "" || before.Text == "") && pause < 2*rateHz {
				t.Errorf("%s: a pause of %d samples before part %d", rec.Stream, pause, n)
			}
		}
		for _, e := range rec.Ends() {
			if e.Pause <= 0 || e.Sample <= e.Start {
				t.Errorf("%s: %+v", rec.Stream, e)
			}
			if e.Counts() {
				ends++
			}
		}
	}
	if ends < 60 {
		t.Errorf("%d ends that count, want 60", ends)
	}
	if slices.EqualFunc(recordings[0].Parts, recordings[1].Parts, func(a, b material.Part) bool { return a.Speech[0] == b.Speech[0] }) {
		t.Error("two streams are alike")
	}
	again := material.Make(spoken, labelled, o)
	if !slices.EqualFunc(recordings[2].Parts, again[2].Parts, func(a, b material.Part) bool { return a.Speech[0] == b.Speech[0] && a.Name == b.Name }) {
		t.Error("the same seed gives another recording")
	}
	once := material.Make(spoken, labelled, material.Options{Streams: 1, Once: true})[0]
	var names []string
	for _, p := range once.Parts {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "a.wav b.wav c.wav" {
		t.Errorf("once: %s", got)
	}
}

// TestRender: what is heard is where the labels say, and quiet is in between.
func TestRender(t *testing.T) {
	spoken, labelled := clips(t)
	rec := material.Make(spoken, labelled, material.Options{Streams: 1, Seed: 3, Lead: time.Second, Duration: 20 * time.Second})[0]
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := rec.Render(path); err != nil {
		t.Fatal(err)
	}
	a, err := wav.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.PCM) != rec.Samples || a.SampleRateHz != rateHz {
		t.Fatalf("%d samples at %d Hz, want %d", len(a.PCM), a.SampleRateHz, rec.Samples)
	}
	peak := func(from, to int) (p float64) {
		for _, x := range a.PCM[from:to] {
			p = max(p, math.Abs(float64(x)))
		}
		return p
	}
	ends := rec.Ends()
	if p := peak(0, ends[0].Start); p > 0.02 || p == 0 {
		t.Errorf("before the first word the peak is %g", p)
	}
	for i, e := range ends {
		if p := peak(e.Start+400, e.Sample-400); p < 0.25 {
			t.Errorf("speech %d has a peak of %g", i, p)
		}
		// The rule's windows reach a little over the edge of speech.
		if p := peak(e.Sample+400, e.Sample+e.Pause-400); p > 0.02 {
			t.Errorf("the pause after speech %d has a peak of %g", i, p)
		}
	}
}
