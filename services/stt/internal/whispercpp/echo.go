package whispercpp

import (
	"slices"
	"strings"
	"unicode"
)

// echoWords is how many words must come back before they are taken for the prompt's: fewer
// are said twice in a row often enough.
const echoWords = 4

// echoes says whether a text begins with what its prompt ends with. After a pause Whisper
// now and then writes the last clause of the prompt again, though nobody has said it again.
func echoes(prompt, text string) bool {
	before, after := plain(prompt), plain(text)
	for n := echoWords; n <= min(len(before), len(after)); n++ {
		if slices.Equal(before[len(before)-n:], after[:n]) {
			return true
		}
	}
	return false
}

// plain is a text's words without capitals and punctuation.
func plain(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' })
}
