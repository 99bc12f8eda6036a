package source_test

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"github.com/rtap/rtap/services/capture/internal/source"
)

func wav(encoding, channels, rate, bits int, pcm []byte) []byte {
	return riff(format(encoding, channels, rate, channels*bits/8, bits), data(len(pcm), pcm))
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.wav")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSampleFormats(t *testing.T) {
	half := func(v any) []byte { b, _ := binary.Append(nil, binary.LittleEndian, v); return b }
	for name, tt := range map[string]struct {
		encoding, channels, bits int
		data                     []byte
		want                     float32
	}{
		"8 bit": {1, 1, 8, []byte{192}, 0.5}, "16 bit": {1, 1, 16, half(int16(16384)), 0.5},
		"24 bit": {1, 1, 24, []byte{0, 0, 0x40}, 0.5}, "32 bit": {1, 1, 32, half(int32(1 << 30)), 0.5},
		"float": {3, 1, 32, half(float32(0.5)), 0.5}, "double": {3, 1, 64, half(0.5), 0.5},
		"stereo": {1, 2, 16, half([]int16{16384, 0}), 0.25}, "mu-law": {7, 1, 8, []byte{0xff}, 0}, "A-law": {6, 1, 8, []byte{0xd5}, 8.0 / 32768},
	} {
		d, err := source.OpenFile(file(t, wav(tt.encoding, tt.channels, 8000, tt.bits, tt.data)), mono.How{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := d.Read()
		if err != nil || len(got) != 1 || got[0] != tt.want || d.RateHz() != 8000 {
			t.Errorf("%s: %v at %d Hz, %v", name, got, d.RateHz(), err)
		}
		if _, err := d.Read(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: end is %v", name, err)
		}
		_ = d.Close()
	}
}

// TestChosenChannel: a file gives the channel that is chosen, and says what is wrong with one
// that it has not before anything is played; with one channel there is nothing to choose.
func TestChosenChannel(t *testing.T) {
	pcm, _ := binary.Append(nil, binary.LittleEndian, []int16{16384, -8192})
	stereo, single := wav(1, 2, 8000, 16, pcm), wav(1, 1, 8000, 16, pcm[:2])
	for name, tt := range map[string]struct {
		raw     []byte
		channel int
		want    float32 // 0: it is refused
	}{
		"mixed": {stereo, 0, 0.125}, "first": {stereo, 1, 0.5}, "second": {stereo, 2, -0.25}, "third": {stereo, 3, 0}, "the only one": {single, 3, 0.5},
		"flac": {flacBytes(t, 2, 16, 300), 2, 0.25}, "flac, third": {flacBytes(t, 2, 16, 300), 3, 0},
	} {
		d, err := source.OpenFile(file(t, tt.raw), mono.How{Channel: tt.channel})
		if tt.want == 0 {
			if !errors.Is(err, mono.ErrChannel) || !errors.Is(err, source.ErrFile) || !strings.Contains(err.Error(), "audio.channel is 3, and there are 2") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := d.Read(); err != nil || got[0] != tt.want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		_ = d.Close()
	}
}

func TestRealRecording(t *testing.T) {
	d, err := source.OpenFile(testkit.Audio(t, "jfk.wav"), mono.How{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	n := 0
	for {
		pcm, err := d.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += len(pcm)
	}
	if n != 176000 {
		t.Errorf("%d samples", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(wav(1, 2, 44100, 24, make([]byte, 60)))
	f.Add(rf64(make([]byte, 8)))
	f.Add(flacBytes(f, 2, 16, 300))
	f.Add([]byte("fLaC\x00\x00\x00\x22"))
	f.Add([]byte("ID3\x04\x00\x00\x00\x00\x00\x00fLaC"))
	path := filepath.Join(f.TempDir(), "fuzz.wav")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := source.OpenFile(path, mono.How{})
		if err != nil {
			if !errors.Is(err, source.ErrFile) {
				t.Errorf("an error that is not ErrFile: %v", err)
			}
			return
		}
		defer func() { _ = d.Close() }()
		if d.RateHz() < 1000 {
			t.Errorf("%d Hz", d.RateHz())
		}
		for range 100 {
			pcm, err := d.Read()
			if err != nil {
				return
			}
			if len(pcm) == 0 {
				t.Fatal("neither samples nor an error")
			}
		}
	})
}
