package stream_test

import (
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
	"github.com/rtap/rtap/services/vad/internal/stream"
)

// TestPausesChangeWhileTalking: a pause that closes a segment with the pauses of one model
// is within a segment with those of another, from the change on, and nothing is cut out.
func TestPausesChangeWhileTalking(t *testing.T) {
	short, long := stream.Pauses{HangoverMS: 64, TailMS: 32, UtteranceEndMS: 512}, stream.Pauses{HangoverMS: 256, TailMS: 128, UtteranceEndMS: 512}
	const drawing = "....######....######....######........######....######........$"
	for name, tt := range map[string]struct {
		before, after stream.Pauses
		at            int // frame before which they change
		want          [][2]uint64
	}{
		// Speech is frames 4-9, 14-19, 24-29, 38-43 and 48-53; two frames of pre-roll, as far as they are free.
		"short":                        {short, short, 0, [][2]uint64{{2, 11}, {12, 21}, {22, 31}, {36, 45}, {46, 55}}},
		"long":                         {long, long, 0, [][2]uint64{{2, 34}, {36, 58}}},
		"longer while somebody talks":  {short, long, 16, [][2]uint64{{2, 11}, {12, 34}, {36, 58}}},
		"longer in silence":            {short, long, 13, [][2]uint64{{2, 11}, {12, 34}, {36, 58}}},
		"shorter while somebody talks": {long, short, 16, [][2]uint64{{2, 21}, {22, 31}, {36, 45}, {46, 55}}},
		// Three frames of silence have passed, which is enough now: the next one closes.
		"shorter in a pause": {long, short, 13, [][2]uint64{{2, 11}, {12, 21}, {22, 31}, {36, 45}, {46, 55}}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := settings()
			cfg.VAD.HangoverMS, cfg.VAD.TailMS, cfg.VAD.UtteranceEndMS = tt.before.HangoverMS, tt.before.TailMS, tt.before.UtteranceEndMS
			b := testkit.Bus(t, cfg)
			s := open(t, cfg, b)
			all := frames(1, 0, drawing)
			feed(t, s, all[:tt.at])
			s.SetPauses(tt.after)
			feed(t, s, all[tt.at:])
			var got [][2]uint64
			for _, j := range jobs(t, b) {
				sp := j.GetSpan()
				got = append(got, [2]uint64{sp.GetStartSample() / 512, sp.GetEndSample() / 512})
				if want := 2 * (sp.GetEndSample() - sp.GetStartSample()); uint64(len(j.GetPcm())) != want {
					t.Errorf("%v: %d bytes, want %d", sp, len(j.GetPcm()), want)
				}
			}
			if len(got) != len(tt.want) {
				t.Fatalf("segments %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("segments %v, want %v", got, tt.want)
				}
			}
		})
	}
}
