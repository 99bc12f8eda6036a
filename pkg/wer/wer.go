// Package wer compares what was said with what was recognised.
package wer

import (
	"slices"
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

// Pair is a step from one text to another: a word of each that stand for each other, equal
// or not, or with one index -1 for a word that the other text lacks.
type Pair struct{ Ref, Hyp int }

// Align returns the steps of the cheapest way from ref to hyp, in order. Words are
// compared as they are; see [Words].
func Align(ref, hyp []string) []Pair { return steps(costs(ref, hyp), ref, hyp, len(ref)) }

// AlignPrefix is Align for a hyp that covers only the beginning of ref: what it does not
// reach is left out. Of ways as cheap as each other it takes the longest.
func AlignPrefix(ref, hyp []string) []Pair {
	cost, width := costs(ref, hyp), len(hyp)+1
	reached := 0
	for i := range len(ref) + 1 {
		if cost[i*width+len(hyp)] <= cost[reached*width+len(hyp)] {
			reached = i
		}
	}
	return steps(cost, ref, hyp, reached)
}

// costs of turning the first i words of ref into the first j of hyp, at i·(len(hyp)+1)+j.
func costs(ref, hyp []string) []int32 {
	width := len(hyp) + 1
	cost := make([]int32, (len(ref)+1)*width)
	for i := range len(ref) + 1 {
		for j := range width {
			at := i*width + j
			switch {
			case i == 0:
				cost[at] = int32(j)
			case j == 0:
				cost[at] = int32(i)
			default:
				cost[at] = min(cost[at-width-1]+unequal(ref[i-1], hyp[j-1]), cost[at-width]+1, cost[at-1]+1)
			}
		}
	}
	return cost
}

// steps goes back from all of hyp and so many words of ref.
func steps(cost []int32, ref, hyp []string, reached int) (out []Pair) {
	width := len(hyp) + 1
	for i, j := reached, len(hyp); i > 0 || j > 0; {
		at := i*width + j
		switch {
		case i > 0 && j > 0 && cost[at] == cost[at-width-1]+unequal(ref[i-1], hyp[j-1]):
			i, j = i-1, j-1
			out = append(out, Pair{i, j})
		case i > 0 && cost[at] == cost[at-width]+1:
			i--
			out = append(out, Pair{i, -1})
		default:
			j--
			out = append(out, Pair{-1, j})
		}
	}
	slices.Reverse(out)
	return out
}

func unequal(a, b string) int32 {
	if a == b {
		return 0
	}
	return 1
}
