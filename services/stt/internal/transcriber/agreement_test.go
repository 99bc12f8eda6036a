package transcriber

import "testing"

// TestAgree: a sequence of hypotheses of a growing segment, and what stands of each.
func TestAgree(t *testing.T) {
	type step struct{ hypothesis, committed, tail string }
	for name, steps := range map[string][]step{
		"grows": {
			{"It was", "", "It was"},
			{"It was the best.", "It was", "the best."},
			{"It was the best of times.", "It was the best", "of times."},
			{"It was the best of times, it was", "It was the best of times,", "it was"},
		},
		"changes its mind": {
			{"As not what", "", "As not what"},
			{"Ask not what your", "", "Ask not what your"},
			{"Ask not what your country can", "Ask not what your", "country can"},
			{"Ask nor what your country can do", "Ask not what your country can", "do"},
		},
		"gets shorter": {
			{"one two three four", "", "one two three four"},
			{"one two three four five", "one two three four", "five"},
			{"one two", "one two three four", ""},
		},
		"nothing heard": {{"", "", ""}, {"", "", ""}},
		"marks and case are no difference": {
			{"Hello, World", "", "Hello, World"},
			{"hello world again", "hello world", "again"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			committed, previous := "", ""
			for _, s := range steps {
				a := agree(committed, previous, wordsOf(Transcript{Text: s.hypothesis}))
				if a.committed != s.committed || a.tail != s.tail {
					t.Fatalf("%q after %q: committed %q, tail %q; want %q, %q", s.hypothesis, previous, a.committed, a.tail, s.committed, s.tail)
				}
				if !begins(join(a.committed, a.tail), committed) {
					t.Fatalf("%q takes %q back", join(a.committed, a.tail), committed)
				}
				committed, previous = a.committed, join(a.committed, a.tail)
			}
		})
	}
}

func TestAgreeCountsTokens(t *testing.T) {
	words := []Word{{Text: "a", Tokens: 2}, {Text: "b", Tokens: 1}, {Text: "c", Tokens: 3}}
	if a := agree("", "a b c d", words); a.words != 2 || a.tokens != 3 {
		t.Errorf("%d words of %d tokens, want 2 of 3", a.words, a.tokens)
	}
}

func TestPresumed(t *testing.T) {
	if a := presumed("It was", "it was the best."); a.committed != "It was" || a.tail != "the best." {
		t.Errorf("%+v", a)
	}
	if a := presumed("It was", "Is was the best."); a != (agreement{}) {
		t.Errorf("what was committed is taken back: %+v", a)
	}
}
