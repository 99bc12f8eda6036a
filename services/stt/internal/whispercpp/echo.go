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

// twice says whether a text is one clause said two times. With a prompt in which that clause
// comes more than once Whisper doubles it now and then.
func twice(text string) bool {
	words := plain(text)
	half := len(words) / 2
	return half >= echoWords && len(words)%2 == 0 && slices.Equal(words[:half], words[half:])
}

// plain is a text's words without capitals and punctuation.
func plain(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\'' })
}
