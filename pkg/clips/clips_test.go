package clips

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/wav"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func tone(hz, rate, n int) wav.Audio {
	a := wav.Audio{SampleRateHz: rate, PCM: make([]float32, n)}
	for i := range a.PCM {
		a.PCM[i] = float32(0.5 * math.Sin(2*math.Pi*float64(hz*i)/float64(rate)))
	}
	return a
}

func TestRead(t *testing.T) {
	second := string(wav.Format(tone(440, 16000, 16000)))
	for name, tt := range map[string]struct {
		files map[string]string
		texts string // of all clips, in order
		err   string
	}{
		"manifest": {map[string]string{
			"a.wav": second, "b.wav": second, "unlisted.wav": second,
			"manifest.json": `[{"file":"b.wav","text":"Bee","source":"x"},{"file":"a.wav","text":"ay"}]`,
		}, "Bee ay", ""},
		"pairs":             {map[string]string{"b.wav": second, "b.txt": "bee\n", "a.wav": second, "a.txt": "ay"}, "ay bee\n", ""},
		"known":             {map[string]string{"jfk.wav": second}, known["jfk.wav"], ""},
		"known, told anew":  {map[string]string{"jfk.wav": second, "jfk.txt": "beep"}, "beep", ""},
		"no text":           {map[string]string{"a.wav": second}, "", "a.txt"},
		"text of no word":   {map[string]string{"a.wav": second, "a.txt": " . "}, "", "no text to compare"},
		"nothing":           {nil, "", "holds no recordings"},
		"listed, not there": {map[string]string{"manifest.json": `[{"file":"a.wav","text":"ay"}]`}, "", "a.wav"},
		"outside":           {map[string]string{"manifest.json": `[{"file":"../a.wav","text":"ay"}]`}, "", "entry 1"},
		"not JSON":          {map[string]string{"manifest.json": `{`}, "", "manifest.json"},
		"no audio":          {map[string]string{"a.wav": string(wav.Format(wav.Audio{SampleRateHz: 16000})), "a.txt": "ay"}, "", "no audio"},
		"not WAV":           {map[string]string{"a.wav": "fLaC, that is", "a.txt": "ay"}, "", "ffmpeg"},
	} {
		t.Run(name, func(t *testing.T) {
			clips, err := Read(folder(t, tt.files))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, c := range clips {
				texts = append(texts, c.Text)
				if len(c.PCM) != 16000 {
					t.Errorf("%s: %d samples", c.Name, len(c.PCM))
				}
			}
			if got := strings.Join(texts, " "); got != tt.texts {
				t.Errorf("got %q, want %q", got, tt.texts)
			}
		})
	}
}

// TestResample: what lies below half the rate keeps its level, what lies above is gone.
func TestResample(t *testing.T) {
	for _, tt := range []struct {
		hz, rate int
		want     float64
	}{
		{440, 22050, 0.5}, {7000, 22050, 0.5}, {9500, 22050, 0}, {1000, 48000, 0.5}, {12000, 48000, 0},
		{1000, 8000, 0.5}, {3000, 44100, 0.5}, {440, 16000, 0.5},
	} {
		got := Resample(tone(tt.hz, tt.rate, 2*tt.rate))
		if len(got) != 32000 {
			t.Errorf("%d Hz at %d: %d samples", tt.hz, tt.rate, len(got))
			continue
		}
		var peak float64
		for _, x := range got[8000:24000] {
			peak = math.Max(peak, math.Abs(float64(x)))
		}
		if math.Abs(peak-tt.want) > 0.005 {
			t.Errorf("%d Hz at %d: level %.4f, want %.1f", tt.hz, tt.rate, peak, tt.want)
		}
	}
}
