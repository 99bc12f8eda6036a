package segmenter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rtap/rtap/services/vad/internal/segmenter"
)

const f = segmenter.FrameSamples

var cfg = segmenter.Config{
	Onset: 0.5, Offset: 0.35, PreRoll: 2 * f, Hangover: 4 * f, Tail: f, MinSpeech: 2 * f,
	MaxSegment: 20 * f, UtteranceEnd: 6 * f, RestAfter: 30 * f,
}

// play pushes one frame a character: '#' speech, '-' between the thresholds, '.' silence,
// '|' flushes. It returns the decisions as "kind[start,end) reason" in frames.
func play(c segmenter.Config, drawing string) string {
	s := segmenter.New(c, segmenter.State{})
	var out []string
	for _, r := range drawing {
		var ds []segmenter.Decision
		switch r {
		case '|':
			ds = s.Flush("end_of_stream")
		default:
			ds = s.Push(map[rune]float64{'#': 0.9, '-': 0.4, '.': 0.1}[r], make([]int16, f))
		}
		for _, d := range ds {
			name := map[segmenter.Kind]string{
				segmenter.Closed: "closed", segmenter.Dropped: "dropped", segmenter.UtteranceEnd: "utterance", segmenter.Rest: "rest",
			}[d.Kind]
			if name == "" {
				continue
			}
			out = append(out, fmt.Sprintf("%s[%d,%d)%s", name, d.Start/f, d.End/f, strings.TrimRight(" "+d.Reason, " ")))
		}
	}
	return strings.Join(out, "; ")
}

func TestDrawings(t *testing.T) {
	for name, tt := range map[string]struct{ drawing, want string }{
		"silence":                               {"..........", ""},
		"one segment":                           {".....####....", "closed[3,10) silence"},
		"utterance end":                         {".....####.......", "closed[3,10) silence; utterance[15,15) silence"},
		"short burst":                           {".....#.........", "dropped[3,7) silence"},
		"pause is bridged":                      {"####...####....", "closed[0,12) silence"},
		"low voice goes on":                     {"####----....", "closed[0,9) silence"},
		"low voice alone":                       {"----------", ""},
		"pre-roll stays above the previous end": {"####....####....", "closed[0,5) silence; closed[6,13) silence"},
		"end of stream":                         {"..####|", "closed[0,6) end_of_stream; utterance[6,6) end_of_stream"},
		"end in silence":                        {"####......|", "closed[0,5) silence; utterance[10,10) silence"},
		"forced cut":                            {"###############-########....", "closed[0,16) max_segment; closed[16,25) silence"},
		"rest":                                  {strings.Repeat(".", 61), "rest[30,30); rest[60,60)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := play(cfg, tt.drawing); got != tt.want {
				t.Errorf("%s\ngot  %s\nwant %s", tt.drawing, got, tt.want)
			}
		})
	}
}

// TestOffsetAboveOnset: '-' is a low voice that opens a segment and does not keep it open.
func TestOffsetAboveOnset(t *testing.T) {
	c := cfg
	c.Onset, c.Offset = 0.35, 0.7
	for name, tt := range map[string]struct{ drawing, want string }{
		"dies away":          {"####--......", "closed[0,6) silence; utterance[10,10) silence"},
		"is not cut":         {"####--------....", "closed[0,12) silence; utterance[13,13) silence"},
		"low voice alone":    {"--------....", "closed[0,8) silence; utterance[9,9) silence"},
		"comes back":         {"####---####....", "closed[0,12) silence"},
		"one low frame":      {"....-.....", "dropped[2,6) silence"},
		"goes on afterwards": {"####----.--####....", "closed[0,8) silence; closed[8,16) silence"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := play(c, tt.drawing); got != tt.want {
				t.Errorf("%s\ngot  %s\nwant %s", tt.drawing, got, tt.want)
			}
		})
	}
}

// FuzzInvariants: whatever is heard, spans are in order, do not overlap, stay within the
// maximum, hold exactly their audio, and all speech above the minimum is in one.
func FuzzInvariants(fz *testing.F) {
	fz.Add([]byte("\x00\xff\xff\xff\x00\x00\x00\x00\xff"), 4, 1, 90)
	fz.Add([]byte("\x00\xff\xa0\xa0\xa0\xa0\xa0\xa0\x00\x00\x00\xa0"), 2, 1, 200)
	fz.Fuzz(func(t *testing.T, probs []byte, hangover, tail, offset int) {
		c := cfg
		c.Offset = 0.1 + float64(abs(offset)%80)/100
		c.Hangover, c.Tail = (1+abs(hangover)%30)*f, abs(tail)%30*f
		s := segmenter.New(c, segmenter.State{})
		covered := map[int]bool{}
		last := 0
		var ds []segmenter.Decision
		for i, b := range probs {
			pcm := make([]int16, f)
			pcm[0] = int16(i)
			ds = append(ds, s.Push(float64(b)/255, pcm)...)
		}
		for _, d := range append(ds, s.Flush("end_of_stream")...) {
			if d.Kind != segmenter.Closed && d.Kind != segmenter.Dropped {
				continue
			}
			if d.Start < last || d.End < d.Start || d.End-d.Start > c.MaxSegment {
				t.Fatalf("[%d,%d) after %d", d.Start, d.End, last)
			}
			last = d.End
			if d.Kind == segmenter.Closed && (len(d.PCM) != d.End-d.Start || d.PCM[0] != int16(d.Start/f)) {
				t.Fatalf("[%d,%d) holds %d samples", d.Start, d.End, len(d.PCM))
			}
			for i := d.Start / f; i < d.End/f; i++ {
				covered[i] = true
			}
		}
		for i, b := range probs {
			if float64(b)/255 >= c.Onset && !covered[i] {
				t.Fatalf("speech in frame %d is in no segment", i)
			}
		}
	})
}

func abs(x int) int {
	if x < 0 {
		return -(x + 1)
	}
	return x
}

// TestShortBeforeMissingAudio: a burst is no segment, unless what follows it is missing.
func TestShortBeforeMissingAudio(t *testing.T) {
	for reason, want := range map[string]segmenter.Kind{
		"end_of_stream": segmenter.Dropped, "finalize": segmenter.Dropped, "gap": segmenter.Closed, "epoch": segmenter.Closed,
	} {
		cfg := cfg
		cfg.MinSpeech = 4 * f
		s := segmenter.New(cfg, segmenter.State{})
		for range 2 {
			s.Push(0.9, make([]int16, f))
		}
		end := s.Flush
		if reason == "epoch" {
			end = s.Break
		}
		if out := end(reason); len(out) == 0 || out[0].Kind != want {
			t.Errorf("%s: %v", reason, out)
		}
		if cut := s.State().Cut; cut != (reason == "epoch") {
			t.Errorf("%s: what follows is taken for its rest: %v", reason, cut)
		}
	}
}
