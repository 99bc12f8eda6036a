package transcriber

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// closing is what ends a sound, by what begins it.
var closing = map[rune]string{'[': "]", '(': ")", '*': "*", '♪': "♪"}

// WithoutSounds leaves out what models write in brackets, asterisks or notes for sounds that
// are no words: "(music)", "[BLANK_AUDIO]", "*coughs*". One that is not closed goes to the
// end; but behind words three in parentheses are what somebody says, who goes on in the next
// segment. What has digits in parentheses, as a telephone number does, stays. ids are the tokens
// of all words, in order, as each word's Tokens counts them; those of the words that are
// kept come back.
func WithoutSounds[T ~int32 | ~int64](words []Word, ids []T) (kept []Word, tokens []uint32, found bool) {
	at := 0 // of the first token of a word
	for i := 0; i < len(words); i++ {
		last, sound := i, false
		if end, opens := closes(words[i].Text); opens {
			last, sound = soundFrom(words, i, end)
		}
		found = found || sound
		for _, w := range words[i : last+1] {
			if !sound {
				kept = append(kept, w)
				for _, id := range ids[at : at+w.Tokens] {
					tokens = append(tokens, uint32(id))
				}
			}
			at += w.Tokens
		}
		i = last
	}
	return kept, tokens, found
}

// closes returns what ends the sound that a word begins, if it begins one.
func closes(word string) (end string, opens bool) {
	first, _ := utf8.DecodeRuneInString(word)
	end, opens = closing[first]
	return end, opens
}

// soundFrom returns the last word up to end, and whether those words are a sound.
func soundFrom(words []Word, first int, end string) (last int, sound bool) {
	last = first
	opening, size := utf8.DecodeRuneInString(words[first].Text)
	rest := words[first].Text[size:]
	for !strings.Contains(rest, end) && last+1 < len(words) {
		last++
		rest = words[last].Text
	}
	if open := !strings.Contains(rest, end); open && first > 0 && (opening == '(' && last > first+1 || words[first].Text == "*") {
		return first, false
	}
	number := func(w Word) bool { return strings.ContainsAny(w.Text, "0123456789") }
	return last, opening != '(' || !slices.ContainsFunc(words[first:last+1], number)
}

// Sayable says whether a text has anything that can be said: a letter or a digit.
func Sayable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
}

// NothingSaid is why a text that is not Sayable is dropped, sounds saying whether some were
// left out of it.
func NothingSaid(sounds bool) string {
	if sounds {
		return DropSound
	}
	return DropSilence
}
