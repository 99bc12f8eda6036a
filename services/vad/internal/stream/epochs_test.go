package stream_test

import (
	"testing"
	"time"

	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// spoken draws the frames of an epoch whose first one was captured at a frame's time.
func spoken(epoch uint64, captured int64, drawing, host string, again bool) []*rtapv1.Frame {
	all := frames(epoch, 0, drawing)
	for i, f := range all {
		at := time.Duration(captured+int64(i)+1) * 32 * time.Millisecond
		f.Clock = &rtapv1.Clock{BootId: host, MonotonicNs: int64(at), CapturedAt: timestamppb.New(time.Unix(0, int64(at)))}
		f.Again = again
	}
	return all
}

// TestWhatIsSaidAgainIsHeardOnce: whoever takes a source over sends all that it has
// recorded. Each frame of speech must be in one segment, whether or not vad is another
// process by then, and whatever host captures.
func TestWhatIsSaidAgainIsHeardOnce(t *testing.T) {
	const whole = "....######........##########........$"
	for name, tt := range map[string]struct {
		before   string // what the predecessor has stored
		captured int64  // when the successor's recording begins
		host     string
		missing  int    // frames of the predecessor that never arrive, from the 20th on
		gap      uint32 // that the successor believes in, before its recording
	}{
		"in silence":               {whole[:14], 6, "a", 0, 0},
		"in the middle of a word":  {whole[:26], 3, "a", 0, 0},
		"near the end of a word":   {whole[:27], 20, "a", 0, 0},
		"with a gap that is none":  {whole[:27], 20, "a", 0, 500},
		"on another host":          {whole[:23], 0, "b", 0, 0},
		"with a hole at the end":   {whole[:26], 0, "a", 3, 0},
		"with nothing in addition": {whole[:36], 2, "a", 0, 0},
	} {
		for _, successor := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				cfg := settings()
				b := testkit.Bus(t, cfg)
				s := open(t, cfg, b)
				first := spoken(1, 0, tt.before, "a", false)
				if tt.missing > 0 {
					first = append(first[:20:20], first[20+tt.missing:]...)
				}
				store(t, b, first)
				feed(t, s, first)
				second := spoken(2, tt.captured, whole[tt.captured:], tt.host, true)
				for i := 30 - int(tt.captured); i < len(second); i++ { // a burst, stamped from its end
					second[i].Clock.MonotonicNs -= 200 * int64(time.Millisecond)
				}
				second[0].GapMs = tt.gap
				store(t, b, second)
				if successor {
					s = open(t, cfg, b)
					feed(t, s, first)
				}
				feed(t, s, second)
				loud := 0
				for _, j := range jobs(t, b) {
					for i := 1; i < len(j.GetPcm()); i += 1024 {
						if j.GetPcm()[i] != 0 {
							loud++
						}
					}
				}
				if loud != 16 || !s.Ended() {
					t.Errorf("%d frames of speech in the segments, want 16; ended %v; successor %v", loud, s.Ended(), successor)
				}
			})
		}
	}
}

// TestRestOfACutWord: the beginning of an epoch belongs to a segment, however short it is, when
// the epoch before ended in the middle of a word, and only then.
func TestRestOfACutWord(t *testing.T) {
	const talk = "....######"
	for name, tt := range map[string]struct {
		epochs  []string // the last one begins with what may be the rest of a word
		closing int      // segments before it
		rest    bool
	}{
		"a word is cut":               {[]string{talk, ".##........$"}, 1, true},
		"an utterance is open":        {[]string{talk + ".....", ".##........$"}, 1, false},
		"nothing is open":             {[]string{talk + "..........", ".##........$"}, 1, false},
		"it ends without audio first": {[]string{talk, "$", ".##........$"}, 1, true},
		"the word has ended by then":  {[]string{talk, "......", ".##........$"}, 1, false},
	} {
		for _, successor := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				cfg := settings()
				b := testkit.Bus(t, cfg)
				s := open(t, cfg, b)
				at, stored := int64(0), []*rtapv1.Frame(nil)
				for i, drawing := range tt.epochs {
					all := spoken(uint64(i+1), at, drawing, "a", i > 0)
					if drawing == "$" {
						all[0].Pcm, all[0].Clock, all[0].Again = nil, nil, false
					}
					at += int64(len(drawing))
					store(t, b, all)
					stored = append(stored, all...)
					if successor && i == len(tt.epochs)-1 {
						feed(t, s, all[:1]) // closes the one before, and dies
						s, all = open(t, cfg, b), stored
					}
					feed(t, s, all)
				}
				want := tt.closing
				if tt.rest {
					want++
				}
				if js := jobs(t, b); len(js) != want || !s.Ended() {
					t.Errorf("%d segments, want %d; ended %v; successor %v", len(js), want, s.Ended(), successor)
				}
			})
		}
	}
}
