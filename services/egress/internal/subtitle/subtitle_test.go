package subtitle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/rtap/rtap/services/egress/internal/subtitle"
)

// spoken gives each word a third of a second, and a longer pause where a "|" stands.
func spoken(text string) (words []subtitle.Word) {
	at := time.Duration(0)
	for _, w := range strings.Fields(text) {
		if w == "|" {
			at += 3 * time.Second
			continue
		}
		words = append(words, subtitle.Word{Text: w, Start: at, End: at + 300*time.Millisecond})
		at += 333 * time.Millisecond
	}
	return words
}

func TestCut(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"nothing":            {"", nil},
		"one line":           {"Ask not.", []string{"Ask not."}},
		"two balanced lines": {"And so my fellow Americans, ask not what your country", []string{"And so my fellow Americans,/ask not what your country"}},
		"a sentence ends a cue": {"And so my fellow Americans. Ask not what your country can do.",
			[]string{"And so my fellow Americans.", "Ask not what your country can do."}},
		"short sentences stay together": {"Yes. No. Well.", []string{"Yes. No. Well."}},
		"a pause parts":                 {"Yes | no", []string{"Yes", "no"}},
		"a word longer than a line":     {"Look: " + strings.Repeat("x", 60), []string{"Look:/" + strings.Repeat("x", 60)}},
		"seven seconds":                 {strings.Repeat("a ", 30), []string{strings.TrimSpace(strings.Repeat("a ", 21)), strings.TrimSpace(strings.Repeat("a ", 9))}},
		"letters, not bytes":            {strings.Repeat("é", 42) + " " + strings.Repeat("ü", 42), []string{strings.Repeat("é", 42) + "/" + strings.Repeat("ü", 42)}},
	} {
		var got []string
		for _, c := range subtitle.Cut(spoken(tt.text)) {
			got = append(got, strings.Join(c.Lines, "/"))
		}
		if fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestShortCuesStayUntilTheNext(t *testing.T) {
	got := subtitle.Cut([]subtitle.Word{
		{Text: "This is a whole sentence.", Start: 0, End: 200 * time.Millisecond},
		{Text: "Next", Start: 500 * time.Millisecond, End: 600 * time.Millisecond},
	})
	if len(got) != 2 || got[0].End != 500*time.Millisecond || got[1].End != 1500*time.Millisecond {
		t.Errorf("cues %v", got)
	}
}

func TestFormats(t *testing.T) {
	cue := subtitle.Cue{Start: 3661_007 * time.Millisecond, End: 3662_500 * time.Millisecond, Lines: []string{"a <b> & c", "--> d"}}
	var srt, vtt strings.Builder
	if err := subtitle.SubRip.Write(&srt, 7, cue); err != nil {
		t.Fatal(err)
	}
	if err := subtitle.WebVTT.Write(&vtt, 7, cue); err != nil {
		t.Fatal(err)
	}
	if want := "7\n01:01:01,007 --> 01:01:02,500\na <b> & c\n--> d\n\n"; srt.String() != want {
		t.Errorf("srt %q", srt.String())
	}
	if want := "01:01:01.007 --> 01:01:02.500\na &lt;b&gt; &amp; c\n--&gt; d\n\n"; vtt.String() != want {
		t.Errorf("vtt %q", vtt.String())
	}
}

func FuzzCut(f *testing.F) {
	f.Add("And so my fellow Americans, ask not. | What?")
	f.Fuzz(func(t *testing.T, text string) {
		words := spoken(text)
		var got []string
		last := time.Duration(-1)
		for _, c := range subtitle.Cut(words) {
			if len(c.Lines) == 0 || len(c.Lines) > subtitle.Lines || c.Start < last || c.End <= c.Start {
				t.Fatalf("cue %v after %s", c, last)
			}
			last = c.End
			for _, line := range c.Lines {
				if utf8.RuneCountInString(line) > subtitle.LineLength && strings.Contains(line, " ") {
					t.Fatalf("line %q", line)
				}
				got = append(got, strings.Fields(line)...)
			}
		}
		var want []string
		for _, w := range words {
			want = append(want, w.Text)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("words %q, want %q", got, want)
		}
	})
}
