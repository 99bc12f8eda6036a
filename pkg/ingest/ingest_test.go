package ingest_test

import (
	"testing"

	"github.com/rtap/rtap/pkg/ingest"
)

func TestSamplesAndRuns(t *testing.T) {
	for name, tt := range map[string]struct {
		format ingest.Format
		end    uint64
		want   uint64
		next   ingest.Run
	}{
		"nothing":           {ingest.Format{SampleRateHz: 16000, Channels: 1}, 100, 0, ingest.Run{ByteOffset: 100, Frame: 3}},
		"half a sample":     {ingest.Format{SampleRateHz: 16000, Channels: 1}, 101, 0, ingest.Run{ByteOffset: 100, Frame: 3}},
		"one sample":        {ingest.Format{SampleRateHz: 16000, Channels: 1}, 102, 1, ingest.Run{ByteOffset: 102, Frame: 4}},
		"and a half":        {ingest.Format{SampleRateHz: 16000, Channels: 1}, 103, 1, ingest.Run{ByteOffset: 102, Frame: 4}},
		"a whole frame":     {ingest.Format{SampleRateHz: 16000, Channels: 1}, 100 + 1024, 512, ingest.Run{ByteOffset: 1124, Frame: 5}},
		"stereo":            {ingest.Format{SampleRateHz: 16000, Channels: 2}, 100 + 1024, 256, ingest.Run{ByteOffset: 1124, Frame: 4}},
		"48 kHz":            {ingest.Format{SampleRateHz: 48000, Channels: 1}, 100 + 2*48000, 16000, ingest.Run{ByteOffset: 96100, Frame: 3 + 31 + 1}},
		"8 kHz":             {ingest.Format{SampleRateHz: 8000, Channels: 1}, 102, 2, ingest.Run{ByteOffset: 102, Frame: 4}},
		"less than a third": {ingest.Format{SampleRateHz: 48000, Channels: 1}, 102, 0, ingest.Run{ByteOffset: 100, Frame: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			r := ingest.Run{ByteOffset: 100, Frame: 3}
			if got := tt.format.Samples(r, tt.end); got != tt.want {
				t.Errorf("%d samples, want %d", got, tt.want)
			}
			if got := tt.format.After(r, tt.end); got != tt.next {
				t.Errorf("next %+v, want %+v", got, tt.next)
			}
		})
	}
}

// FuzzRestart: what a restart begins with is a sample of the client's and the same moment
// in both countings, early enough, and no earlier than a second.
func FuzzRestart(f *testing.F) {
	f.Add(uint16(48000), true, uint64(7), uint64(5000))
	f.Add(uint16(16000), false, uint64(0), uint64(1))
	f.Add(uint16(12345), false, uint64(99), uint64(1<<40))
	f.Fuzz(func(t *testing.T, rate uint16, stereo bool, offset, sample uint64) {
		format := ingest.Format{SampleRateHz: 8000 + int(rate)%40001, Channels: 1}
		if stereo {
			format.Channels = 2
		}
		r := ingest.Run{ByteOffset: offset >> 8}
		sample >>= 20
		at, first := format.Restart(r, sample)
		if at < r.ByteOffset || (at-r.ByteOffset)%format.SampleBytes() != 0 || first > sample {
			t.Fatalf("restart at byte %d, sample %d for %d", at, first, sample)
		}
		if in := (at - r.ByteOffset) / format.SampleBytes(); in*ingest.SampleRateHz != first*uint64(format.SampleRateHz) {
			t.Errorf("input sample %d is not output sample %d", in, first)
		}
		if sample-first > ingest.SampleRateHz+400 {
			t.Errorf("begins %d samples early", sample-first)
		}
	})
}
