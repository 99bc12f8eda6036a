package source_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mewkiz/flac"
	"github.com/mewkiz/flac/frame"
	"github.com/mewkiz/flac/meta"
	"github.com/rtap/rtap/services/capture/internal/mono"
	"github.com/rtap/rtap/services/capture/internal/source"
)

// le appends values in little-endian order.
func le(values ...any) []byte {
	var out []byte
	for _, v := range values {
		if s, ok := v.(string); ok {
			out = append(out, s...)
			continue
		}
		out, _ = binary.Append(out, binary.LittleEndian, v)
	}
	return out
}

func riff(chunks ...[]byte) []byte {
	body := bytes.Join(chunks, nil)
	return le("RIFF", uint32(4+len(body)), "WAVE", body)
}

func format(encoding, channels, rate, block, bits int, more ...any) []byte {
	body := le(uint16(encoding), uint16(channels), uint32(rate), uint32(rate*block), uint16(block), uint16(bits), le(more...))
	return le("fmt ", uint32(len(body)), body)
}

func data(size int, pcm ...any) []byte { return le("data", uint32(size), le(pcm...)) }

// rf64 is a 16-bit mono file with 64-bit sizes.
func rf64(pcm []byte) []byte {
	return le("RF64", uint32(math.MaxUint32), "WAVE",
		"ds64", uint32(28), uint64(0), uint64(len(pcm)), uint64(0), uint32(0),
		format(1, 1, 16000, 2, 16), data(math.MaxUint32, pcm))
}

// flacBytes is a FLAC file of n samples at 16 kHz with the value 8192 in 16 bits.
func flacBytes(t testing.TB, channels, bits, n int) []byte {
	t.Helper()
	const block = 256
	path := filepath.Join(t.TempDir(), "made.flac")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := flac.NewEncoder(f, &meta.StreamInfo{
		BlockSizeMin: block, BlockSizeMax: block, SampleRate: 16000, NChannels: uint8(channels), BitsPerSample: uint8(bits), NSamples: uint64(n),
	})
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[int]frame.Channels{1: frame.ChannelsMono, 2: frame.ChannelsLR}
	for at := 0; at < n; at += block {
		size := min(block, n-at)
		fr := &frame.Frame{Header: frame.Header{
			HasFixedBlockSize: true, BlockSize: uint16(size), SampleRate: 16000, Channels: kinds[channels], BitsPerSample: uint8(bits), Num: uint64(at / block),
		}}
		for range channels {
			pcm := make([]int32, size)
			for i := range pcm {
				pcm[i] = 8192 << (bits - 16)
			}
			fr.Subframes = append(fr.Subframes, &frame.Subframe{SubHeader: frame.SubHeader{Pred: frame.PredVerbatim}, Samples: pcm, NSamples: size})
		}
		if err := enc.WriteFrame(fr); err != nil {
			t.Fatal(err)
		}
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func readAll(t *testing.T, name string, raw []byte) []float32 {
	t.Helper()
	d, err := source.OpenFile(file(t, raw), mono.How{})
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return nil
	}
	defer func() { _ = d.Close() }()
	var out []float32
	for {
		pcm, err := d.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return out
		}
		out = append(out, pcm...)
	}
}

func TestUnusualWAV(t *testing.T) {
	half := []int16{16384, 16384}
	pcm16 := format(1, 1, 16000, 2, 16)
	guid := "\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
	sized := func(riffSize, dataSize uint32) []byte {
		return le("RIFF", riffSize, "WAVE", pcm16, data(int(dataSize), half))
	}
	for name, raw := range map[string][]byte{
		"extensible PCM":           riff(format(0xfffe, 1, 16000, 2, 16, uint16(22), uint16(16), uint32(4), uint16(1), guid), data(4, half)),
		"extensible float":         riff(format(0xfffe, 1, 16000, 4, 32, uint16(22), uint16(32), uint32(4), uint16(3), guid), data(8, []float32{0.5, 0.5})),
		"24 bits in 4 bytes":       riff(format(1, 1, 16000, 4, 24), data(8, []int32{1 << 30, 1 << 30})),
		"12 bits in 2 bytes":       riff(format(1, 1, 16000, 2, 12), data(4, half)),
		"8 bits, odd size":         riff(format(1, 1, 16000, 1, 8), le("LIST", uint32(3), "abc\x00"), data(3, []byte{192, 192, 192, 0})),
		"chunks around":            riff(le("JUNK", uint32(5), "12345\x00"), pcm16, le("fact", uint32(4), uint32(2)), data(4, half), le("LIST", uint32(2), "xy")),
		"half a sample left":       riff(pcm16, data(5, half, []byte{1, 0})),
		"RF64":                     rf64(le(half)),
		"sizes unknown, 0":         sized(0, 0),
		"sizes unknown, maximum":   sized(math.MaxUint32, math.MaxUint32),
		"sizes unknown, sox":       sized(0x7ffff024, 0x7ffff000),
		"sizes unknown, arecord":   sized(0x80000024, 0x80000000),
		"FLAC":                     flacBytes(t, 2, 16, 700),
		"FLAC of 24 bits":          flacBytes(t, 1, 24, 256),
		"FLAC with a tag":          append(flacBytes(t, 1, 16, 300), "TAG and so on"...),
		"FLAC behind an empty tag": append([]byte("ID3\x04\x00\x00\x00\x00\x00\x00"), flacBytes(t, 1, 16, 300)...),
	} {
		got := readAll(t, name, raw)
		want := float32(0.5)
		if strings.Contains(name, "FLAC") {
			want = 0.25
		}
		if len(got) < 2 {
			t.Errorf("%s: %d samples", name, len(got))
		}
		for _, x := range got {
			if x != want {
				t.Errorf("%s: a sample is %v, want %v", name, x, want)
				break
			}
		}
	}
	if n := len(readAll(t, "FLAC", flacBytes(t, 2, 16, 700))); n != 700 {
		t.Errorf("%d samples of FLAC, want 700", n)
	}
}

func TestBadFiles(t *testing.T) {
	whole := wav(1, 1, 16000, 16, make([]byte, 100))
	song := flacBytes(t, 1, 16, 2000)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":                {nil, "it is empty"},
		"text":                 {[]byte("hello, this is no audio"), "neither WAV nor FLAC"},
		"MP3":                  {[]byte("ID3\x04\x00\x00\x00\x00\x00\x00\xff\xfb\x90\x44"), "neither WAV nor FLAC"},
		"tiny":                 {[]byte("R"), "too short"},
		"RIFF of a film":       {[]byte("RIFF\x00\x00\x00\x00AVI LIST"), "not WAVE"},
		"big-endian":           {[]byte("RIFX\x00\x00\x00\x00WAVE"), "big-endian"},
		"truncated data":       {whole[:80], "truncated: header promises 100 bytes of audio, file has 36"},
		"truncated header":     {whole[:20], "truncated"},
		"truncated chunk":      {riff(le("LIST", uint32(1000), "ab")), "truncated"},
		"cut RF64":             {rf64(make([]byte, 100))[:150], "truncated: header promises 100 bytes"},
		"no audio":             {wav(1, 1, 16000, 16, nil), "no audio"},
		"bad rate":             {wav(1, 1, 1, 16, make([]byte, 4)), "at 1 Hz"},
		"no channels":          {wav(1, 0, 16000, 16, make([]byte, 4)), "0 channels"},
		"bad encoding":         {wav(85, 1, 16000, 16, make([]byte, 4)), "not supported"},
		"data before format":   {riff(data(4, uint32(0)), format(1, 1, 16000, 2, 16)), "data before format"},
		"short extensible":     {riff(format(0xfffe, 1, 16000, 2, 16), data(4, uint32(0))), "short extensible"},
		"broken FLAC":          {[]byte("fLaC????????????"), "bad FLAC"},
		"truncated FLAC":       {song[:len(song)/2], "truncated: header promises 2000 samples"},
		"FLAC without its end": {song[:len(song)-1], "truncated: header promises 2000 samples, the last that is intact is 1792"},
	} {
		path := file(t, tt.data)
		_, err := source.OpenFile(path, mono.How{})
		if !errors.Is(err, source.ErrFile) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	if _, err := source.OpenFile(dir, mono.How{}); err == nil || !strings.Contains(err.Error(), dir+": it is a folder") {
		t.Errorf("folder: %v", err)
	}
	if _, err := source.OpenFile("/dev/null", mono.How{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("device: %v", err)
	}
	if _, err := source.OpenFile("/nowhere/a.wav", mono.How{}); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "/nowhere/a.wav") {
		t.Errorf("missing: %v", err)
	}
}

// TestHugeFile plays the start of a file of 3 GiB, most of it a hole.
func TestHugeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "night.wav")
	const size = 3 << 30
	if err := os.WriteFile(path, le("RIFF", uint32(size+36), "WAVE", format(1, 2, 48000, 4, 16), data(size)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 44+size); err != nil {
		t.Fatalf("a file with a hole cannot be made: %v", err)
	}
	d, err := source.OpenFile(path, mono.How{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	allocated := testing.AllocsPerRun(100, func() {
		if _, err := d.Read(); err != nil {
			t.Fatal(err)
		}
	})
	if allocated > 0 {
		t.Errorf("%v allocations for each piece", allocated)
	}
}
