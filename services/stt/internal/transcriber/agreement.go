package transcriber

import (
	"strings"
	"unicode"
)

// agreement is what LocalAgreement-2 makes of a hypothesis and the one before it (Liu et
// al., https://doi.org/10.21437/Interspeech.2020-2897): what both begin with is committed.
type agreement struct {
	committed string // text that stays until the final
	tail      string // the rest of the hypothesis
	words     int    // of the transcript that are committed
	tokens    int    // of the transcript that make those words
}

// agree compares a transcript with the hypothesis before it. committed is what was agreed
// on before; its words are taken to be the transcript's first. The last word is never
// committed: it may be cut off, and its mark may be there only because the audio ends.
func agree(committed, previous string, words []Word) agreement {
	said, before := strings.Fields(committed), strings.Fields(previous)
	n := min(len(said), len(words))
	for n < len(words)-1 && n < len(before) && same(words[n].Text, before[n]) {
		n++
	}
	a := agreement{words: n}
	for i, w := range words {
		switch {
		case i < n:
			a.tokens += w.Tokens
			if i >= len(said) {
				said = append(said, w.Text)
			}
		default:
			a.tail = strings.TrimSpace(a.tail + " " + w.Text)
		}
	}
	a.committed = strings.Join(said, " ")
	return a
}

// wordsOf returns a transcript's words, also of an engine that gives only the text.
func wordsOf(t Transcript) []Word {
	if len(t.Words) > 0 {
		return t.Words
	}
	var words []Word
	for _, text := range strings.Fields(t.Text) {
		words = append(words, Word{Text: text})
	}
	return words
}

// same compares words without case and marks.
func same(a, b string) bool { return bare(a) == bare(b) && bare(a) != "" }

func bare(word string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'' {
			return unicode.ToLower(r)
		}
		return -1
	}, word)
}

// begins says whether a text begins with the words of another.
func begins(text, with string) bool {
	all, first := strings.Fields(text), strings.Fields(with)
	if len(first) > len(all) {
		return false
	}
	for i := range first {
		if !same(all[i], first[i]) {
			return false
		}
	}
	return true
}

// join puts the parts of a text together.
func join(parts ...string) string {
	return strings.Join(strings.Fields(strings.Join(parts, " ")), " ")
}
