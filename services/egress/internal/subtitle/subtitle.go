// Package subtitle cuts timed words into cues and writes them as SubRip and WebVTT. It
// knows nothing of streams.
package subtitle

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// What a reader can take in at a glance, as broadcasters have it.
const (
	LineLength  = 42 // characters
	Lines       = 2
	MaxDuration = 7 * time.Second
	MinDuration = time.Second
	// pause parts cues; sentence is how much of a cue may be followed by a new sentence.
	pause    = 1500 * time.Millisecond
	sentence = 20
)

// Word is a word with its punctuation and the time from the beginning of the file.
type Word struct {
	Text       string
	Start, End time.Duration
}

// Cue is what is on the screen at one time.
type Cue struct {
	Start, End time.Duration
	Lines      []string
}

// Cut makes cues of one utterance's words. A cue that would be too short to read stays on
// until the next one begins.
func Cut(words []Word) []Cue {
	var (
		cues  []Cue
		open  []Word
		texts []string
	)
	flush := func() {
		if len(open) > 0 {
			cues = append(cues, Cue{open[0].Start, open[len(open)-1].End, balance(texts)})
		}
		open, texts = nil, nil
	}
	for _, w := range words {
		if w.Text == "" {
			continue
		}
		if len(open) > 0 {
			last := open[len(open)-1]
			if len(wrap(append(texts, w.Text), LineLength)) > Lines || w.End-open[0].Start > MaxDuration || w.Start-last.End > pause ||
				ends(last.Text) && utf8.RuneCountInString(strings.Join(texts, " ")) >= sentence {
				flush()
			}
		}
		open, texts = append(open, w), append(texts, w.Text)
	}
	flush()
	for i := range cues {
		end := max(cues[i].End, cues[i].Start+MinDuration)
		if i+1 < len(cues) {
			end = min(end, cues[i+1].Start)
		}
		cues[i].End = max(cues[i].End, end)
	}
	return cues
}

// ends says whether a word ends a sentence.
func ends(word string) bool {
	last, _ := utf8.DecodeLastRuneInString(word)
	return strings.ContainsRune(".?!…。？！", last)
}

// wrap fills lines of at most width characters; a longer word has a line of its own.
func wrap(words []string, width int) (lines []string) {
	for _, w := range words {
		if n := len(lines); n > 0 && utf8.RuneCountInString(lines[n-1])+1+utf8.RuneCountInString(w) <= width {
			lines[n-1] += " " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}

// balance makes the lines of about the same length: the narrowest width that needs no
// more of them.
func balance(words []string) []string {
	best := wrap(words, LineLength)
	for width := LineLength - 1; width > 0; width-- {
		lines := wrap(words, width)
		if len(lines) > len(best) {
			break
		}
		best = lines
	}
	return best
}

// Format writes cues of one kind of file.
type Format struct {
	// Header stands before the first cue.
	Header string
	point  string
	escape func(string) string
	number bool
}

// The kinds of files.
var (
	SubRip = Format{point: ",", escape: func(s string) string { return s }, number: true}
	WebVTT = Format{Header: "WEBVTT\n\n", point: ".", escape: strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace}
)

// Write writes the n-th cue, from 1.
func (f Format) Write(w io.Writer, n int, c Cue) error {
	var b strings.Builder
	if f.number {
		fmt.Fprintln(&b, n)
	}
	fmt.Fprintf(&b, "%s --> %s\n", f.stamp(c.Start), f.stamp(c.End))
	for _, line := range c.Lines {
		fmt.Fprintln(&b, f.escape(line))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Format) stamp(d time.Duration) string {
	ms := max(0, d.Round(time.Millisecond).Milliseconds())
	return fmt.Sprintf("%02d:%02d:%02d%s%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, f.point, ms%1000)
}
