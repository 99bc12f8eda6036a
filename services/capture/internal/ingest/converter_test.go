package ingest_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/clock"
	layout "github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/capture/internal/ingest"
	"github.com/rtap/rtap/services/capture/internal/mono"
)

// speech is n samples of each channel of something that never repeats, as bytes.
func speech(f layout.Format, n int) []byte {
	var out []byte
	for i := range n {
		at := float64(i) / float64(f.SampleRateHz)
		for c := range f.Channels {
			x := 12000 * math.Sin(2*math.Pi*(200+900*at)*at) * (1 + 0.2*float64(c))
			out = binary.LittleEndian.AppendUint16(out, uint16(int16(x)))
		}
	}
	return out
}

// session cuts bytes into chunks at random, with Finalize in some places.
func session(raw []byte, finalize bool, seed uint64) (out []*rtapv1.IngestChunk) {
	r := rand.New(rand.NewPCG(seed, 0))
	began := clock.Now()
	add := func(data []byte, at int, control rtapv1.IngestChunk_Control) {
		out = append(out, &rtapv1.IngestChunk{
			StreamId: "s", Session: "one", Number: uint64(len(out)), ByteOffset: uint64(at), Data: data, Control: control,
			Received: clock.Add(began, time.Duration(len(out))*20*time.Millisecond),
		})
	}
	add(nil, 0, 0)
	for at := 0; at < len(raw); {
		n := min(len(raw)-at, 1+r.IntN(4000))
		control := rtapv1.IngestChunk_CONTROL_UNSPECIFIED
		if finalize && r.IntN(6) == 0 {
			control = rtapv1.IngestChunk_CONTROL_FINALIZE
		}
		add(raw[at:at+n], at, control)
		at += n
		if control != 0 && r.IntN(2) == 0 {
			add(nil, at, rtapv1.IngestChunk_CONTROL_FINALIZE) // twice at one place
		}
	}
	add(nil, len(raw), rtapv1.IngestChunk_CONTROL_CLOSE_STREAM)
	return out
}

func take(t *testing.T, c *ingest.Converter, chunks []*rtapv1.IngestChunk) (out []*rtapv1.Frame) {
	t.Helper()
	for _, chunk := range chunks {
		frames, err := c.Take(chunk)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, frames...)
	}
	return out
}

func samples(f *rtapv1.Frame) []int16 {
	out := make([]int16, len(f.GetPcm())/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(f.GetPcm()[2*i:]))
	}
	return out
}

// same fails unless two frames are one: the resampler may differ in the last bit.
func same(t *testing.T, what string, got, want *rtapv1.Frame) {
	t.Helper()
	if got.GetFrame() != want.GetFrame() || got.GetEpoch() != want.GetEpoch() || got.GetFinalize() != want.GetFinalize() ||
		got.GetEnd() != want.GetEnd() || len(got.GetPcm()) != len(want.GetPcm()) || got.GetGapMs() != want.GetGapMs() ||
		got.GetIngest().GetFrame() != want.GetIngest().GetFrame() || got.GetIngest().GetByteOffset() != want.GetIngest().GetByteOffset() {
		t.Fatalf("%s:\ngot  %s\nwant %s", what, describe(got), describe(want))
	}
	a, b := samples(got), samples(want)
	for i := range a {
		if d := int(a[i]) - int(b[i]); d < -1 || d > 1 {
			t.Fatalf("%s: frame %d, sample %d is %d, want %d", what, got.GetFrame(), i, a[i], b[i])
		}
	}
}

func describe(f *rtapv1.Frame) string {
	return fmt.Sprintf("frame %d of %d bytes, finalize %v, end %v, gap %d, run %d at %d", f.GetFrame(), len(f.GetPcm()),
		f.GetFinalize(), f.GetEnd(), f.GetGapMs(), f.GetIngest().GetFrame(), f.GetIngest().GetByteOffset())
}

var formats = []layout.Format{
	{SampleRateHz: 16000, Channels: 1}, {SampleRateHz: 16000, Channels: 2}, {SampleRateHz: 8000, Channels: 1},
	{SampleRateHz: 44100, Channels: 2}, {SampleRateHz: 48000, Channels: 1}, {SampleRateHz: 12345, Channels: 1},
}

// TestEverySampleHasItsPlace: frames are numbered without holes, whole but the last, timed by
// arrival, and hold every sample of the client's where its time says.
func TestEverySampleHasItsPlace(t *testing.T) {
	for _, f := range formats {
		raw := speech(f, 2*f.SampleRateHz+77)
		c := ingest.NewConverter("s", "one", 4, f, mono.How{})
		frames := take(t, c, append(session(raw, false, 1), session(raw, false, 1)[3:]...))
		var pcm []int16
		var before *rtapv1.Clock
		for i, fr := range frames {
			last := i == len(frames)-1
			if fr.GetFrame() != uint64(i) || fr.GetEpoch() != 4 || fr.GetEnd() != last || (!last && len(fr.GetPcm()) != 1024) {
				t.Fatalf("%+v: %s", f, describe(fr))
			}
			if early, _ := clock.Between(fr.GetClock(), before); early > 0 {
				t.Errorf("%+v: frame %d is %v older than the one before", f, i, early)
			}
			before = fr.GetClock()
			pcm = append(pcm, samples(fr)...)
		}
		if want := f.Samples(layout.Run{}, uint64(len(raw))); uint64(len(pcm)) != want {
			t.Errorf("%+v: %d samples, want %d", f, len(pcm), want)
		}
		// The sweep's phase is its time: a shift by one sample would be far off.
		for i := 2000; i < len(pcm)-2000; i++ {
			at := float64(i) / 16000
			want := 12000 * math.Sin(2*math.Pi*(200+900*at)*at)
			if f.Channels == 2 {
				want *= 1.1
			}
			if math.Abs(float64(pcm[i])-want) > 60 {
				t.Fatalf("%+v: sample %d is %d, want %.0f", f, i, pcm[i], want)
			}
		}
	}
}

// TestSuccessorMakesTheSameFrames stops after each frame, forgets what may be forgotten, and
// goes on with what is left.
func TestSuccessorMakesTheSameFrames(t *testing.T) {
	for _, f := range formats {
		for seed := range uint64(2) {
			kept := 20 * (1 - seed) // frames that are made once more
			chunks := session(speech(f, 3*f.SampleRateHz/2), true, seed)
			want := take(t, ingest.NewConverter("s", "one", 1, f, mono.How{}), chunks)
			stored, firstByte := 0, uint64(0)
			c := ingest.NewConverter("s", "one", 1, f, mono.How{})
			for n := range chunks {
				stored += len(take(t, c, chunks[n:n+1]))
				if stored == 0 {
					continue
				}
				firstByte = c.Settled(max(kept, uint64(stored)) - kept)
				left := chunks
				for len(left) > 1 && left[0].GetByteOffset()+uint64(len(left[0].GetData())) < firstByte {
					left = left[1:]
				}
				// The server may have lost the newest frames of those that it had acknowledged.
				for _, lost := range []int{0, 1, 7} {
					if stored <= lost || uint64(lost) > kept {
						continue
					}
					last := want[stored-1-lost]
					from := max(kept, last.GetFrame()+1) - kept
					again := take(t, ingest.ResumeConverter(last, f, mono.How{}, from, left[0].GetByteOffset()), left)
					if last.GetEnd() {
						if len(again) > 0 {
							t.Fatalf("%+v: %d frames behind the end", f, len(again))
						}
						continue
					}
					if len(again) == 0 || again[0].GetFrame() > last.GetFrame()+1 {
						t.Fatalf("%+v, seed %d: after frame %d comes %s", f, seed, last.GetFrame(), describe(again[0]))
					}
					for i, fr := range again {
						same(t, fmt.Sprintf("%+v, seed %d, after chunk %d", f, seed, n), fr, want[int(again[0].GetFrame())+i])
					}
					if end := again[len(again)-1]; !end.GetEnd() {
						t.Fatalf("%+v: no end: %s", f, describe(end))
					}
				}
			}
		}
	}
}

// TestMissingAudioKeepsTime: what has expired is a marked gap, and what follows keeps its place.
func TestMissingAudioKeepsTime(t *testing.T) {
	for _, f := range formats {
		raw := speech(f, 2*f.SampleRateHz)
		chunks := session(raw, false, 3)
		want := take(t, ingest.NewConverter("s", "one", 1, f, mono.How{}), chunks)
		from, to := len(chunks)/3, len(chunks)/2
		got := take(t, ingest.NewConverter("s", "one", 1, f, mono.How{}), append(append([]*rtapv1.IngestChunk(nil), chunks[:from]...), chunks[to:]...))
		lost := f.Seconds(chunks[to].GetByteOffset() - chunks[from].GetByteOffset())
		gaps := 0
		for _, fr := range got {
			if fr.GetGapMs() == 0 {
				continue
			}
			gaps++
			if math.Abs(float64(fr.GetGapMs())/1000-lost) > 0.002 {
				t.Errorf("%+v: gap of %d ms, want %.3f s", f, fr.GetGapMs(), lost)
			}
			at := float64(fr.GetFrame()) * 0.032
			if begins := f.Seconds(chunks[to].GetByteOffset()); at < begins-1e-3 || at > begins+0.033 {
				t.Errorf("%+v: goes on at %.3f s, want %.3f", f, at, begins)
			}
		}
		if gaps != 1 || !got[len(got)-1].GetEnd() {
			t.Errorf("%+v: %d gaps, last %s", f, gaps, describe(got[len(got)-1]))
		}
		if a, b := got[len(got)-1].GetFrame(), want[len(want)-1].GetFrame(); a+1 < b || a > b+1 {
			t.Errorf("%+v: ends with frame %d, without a gap with %d", f, a, b)
		}
	}
}

// TestChannels: what a client's channels become, to the bit, and one of them alone.
func TestChannels(t *testing.T) {
	raw := binary.LittleEndian.AppendUint16(nil, 0x8000) // the least there is
	for _, x := range []int16{-32768, 32767, 1, -1, 7, 4} {
		raw = binary.LittleEndian.AppendUint16(raw, uint16(x))
	}
	raw = binary.LittleEndian.AppendUint16(raw, 0x7fff)
	for name, tt := range map[string]struct {
		channels, chosen int
		want             []int16
	}{
		"one":                   {1, 2, []int16{-32768, -32768, 32767, 1, -1, 7, 4, 32767}},
		"the mean of two":       {2, 0, []int16{-32768, 16384, 3, 16385}},
		"the second of two":     {2, 2, []int16{-32768, 1, 7, 32767}},
		"one that is not there": {2, 3, []int16{-32768, 16384, 3, 16385}},
	} {
		f := layout.Format{SampleRateHz: 16000, Channels: tt.channels}
		frames := take(t, ingest.NewConverter("s", "one", 1, f, mono.How{Channel: tt.chosen}), session(raw, false, 1))
		var got []int16
		for _, fr := range frames {
			got = append(got, samples(fr)...)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}
