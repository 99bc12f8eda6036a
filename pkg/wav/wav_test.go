package wav_test

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/wav"
)

// chunk makes one chunk, filled up to an even length.
func chunk(name string, body []byte) []byte {
	out := append([]byte(name), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(out[4:], uint32(len(body)))
	if out = append(out, body...); len(body)%2 == 1 {
		out = append(out, 0)
	}
	return out
}

func file(chunks ...[]byte) []byte {
	var body []byte
	for _, c := range chunks {
		body = append(body, c...)
	}
	return append(chunk("RIFF", append([]byte("WAVE"), body...))[:8], append([]byte("WAVE"), body...)...)
}

func format(encoding, channels uint16, rate uint32, bits uint16) []byte {
	b := make([]byte, 16)
	binary.LittleEndian.PutUint16(b, encoding)
	binary.LittleEndian.PutUint16(b[2:], channels)
	binary.LittleEndian.PutUint32(b[4:], rate)
	binary.LittleEndian.PutUint16(b[14:], bits)
	return chunk("fmt ", b)
}

func TestParse(t *testing.T) {
	ours, audio := format(1, 1, 16000, 16), chunk("data", []byte{0, 0, 0, 64, 0, 128})
	for name, tt := range map[string]struct {
		raw  []byte
		want string // in the error; empty for three samples
		form bool   // another form, rather than a broken file
	}{
		"plain":              {file(ours, audio), "", false},
		"with other chunks":  {file(chunk("LIST", []byte("abc")), ours, chunk("fact", []byte{1, 2, 3, 4}), audio), "", false},
		"no rate":            {file(format(1, 1, 0, 16), audio), "0 Hz", false},
		"stereo":             {file(format(1, 2, 16000, 16), audio), "2 channels", true},
		"24 bits":            {file(format(1, 1, 16000, 24), audio), "24 bits", true},
		"float":              {file(format(3, 1, 16000, 32), audio), "encoding 3", true},
		"something else":     {[]byte("fLaC and what follows"), "not RIFF/WAVE", true},
		"nothing":            {nil, "not RIFF/WAVE", true},
		"no data":            {file(ours), "no audio data", false},
		"data before format": {file(audio, ours), "data before format", false},
		"short format":       {file(chunk("fmt ", []byte{1, 0}), audio), "format of 2 bytes", false},
		"truncated":          {file(ours, audio[:len(audio)-2]), "truncated", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := wav.Parse(tt.raw)
			if tt.want == "" {
				if err != nil || !slices.Equal(got.PCM, []float32{0, 0.5, -1}) || got.SampleRateHz != 16000 {
					t.Fatalf("%v, %v", got, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, wav.ErrForm) != tt.form {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadWhatFormatWrites(t *testing.T) {
	a := wav.Audio{SampleRateHz: 22050, PCM: []float32{0, 0.25, -0.5, 1, -1, 3}}
	path := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(path, wav.Format(a), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := wav.Read(path)
	if err != nil || len(got.PCM) != len(a.PCM) || got.SampleRateHz != a.SampleRateHz {
		t.Fatalf("%v, %v", got, err)
	}
	for i, x := range got.PCM {
		if want := min(1, max(-1, a.PCM[i])); math.Abs(float64(x-want)) > 1e-4 {
			t.Errorf("sample %d: %v, want %v", i, x, want)
		}
	}
	if _, err := wav.Read(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(wav.Format(wav.Audio{SampleRateHz: 16000, PCM: []float32{0, 0.5}}))
	f.Add(file(format(1, 1, 16000, 16), chunk("data", nil)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if a, err := wav.Parse(raw); err == nil && (2*len(a.PCM) > len(raw) || a.SampleRateHz == 0) {
			t.Errorf("%d samples at %d Hz out of %d bytes", len(a.PCM), a.SampleRateHz, len(raw))
		}
	})
}
