// Package wer compares what was said with what was recognised.
package wer

import (
	"strings"
	"unicode"
)

// Words normalises a text for comparison: lower case, letters, digits and apostrophes.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(strings.ReplaceAll(text, "’", "'")), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	})
}

// Errors returns the least number of words to change, add or remove that turns hyp
// into ref, and the number of words in ref.
func Errors(ref, hyp string) (errs, words int) {
	r, h := Words(ref), Words(hyp)
	row := make([]int, len(h)+1)
	for j := range row {
		row[j] = j
	}
	for i, want := range r {
		diagonal := row[0]
		row[0] = i + 1
		for j, got := range h {
			cost := diagonal
			if want != got {
				cost++
			}
			diagonal, row[j+1] = row[j+1], min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(h)], len(r)
}
