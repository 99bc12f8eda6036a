package wer_test

import (
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/wer"
)

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		ref, hyp    string
		errs, words int
	}{
		{"a b c", "A, b. C!", 0, 3},
		{"a b c", "a x c", 1, 3},
		{"a b c", "a c", 1, 3},
		{"a b c", "a b b c", 1, 3},
		{"", "a", 1, 0},
		{"a b", "", 2, 2},
	} {
		if e, w := wer.Errors(tt.ref, tt.hyp); e != tt.errs || w != tt.words {
			t.Errorf("Errors(%q, %q) = %d, %d, want %d, %d", tt.ref, tt.hyp, e, w, tt.errs, tt.words)
		}
	}
}

func TestAlign(t *testing.T) {
	for _, tt := range []struct {
		ref, hyp      string
		whole, prefix string // words of hyp under those of ref; - for none, + for an added one
	}{
		{"a b c", "a b c", "a b c", "a b c"},
		{"a b c", "a x c", "a x c", "a x c"},
		{"a b c", "a c", "a - c", "a - c"},
		{"a b c", "a b b c", "a +b b c", "a +b b c"},
		{"it was best it was worst", "it was", "- - - it was -", "it was"},
		{"a b", "", "- -", ""},
		{"", "a", "+a", "+a"},
	} {
		ref, hyp := wer.Words(tt.ref), wer.Words(tt.hyp)
		for name, c := range map[string]struct {
			pairs []wer.Pair
			want  string
		}{"whole": {wer.Align(ref, hyp), tt.whole}, "prefix": {wer.AlignPrefix(ref, hyp), tt.prefix}} {
			var got []string
			for _, p := range c.pairs {
				switch {
				case p.Ref < 0:
					got = append(got, "+"+hyp[p.Hyp])
				case p.Hyp < 0:
					got = append(got, "-")
				default:
					got = append(got, hyp[p.Hyp])
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("%s: %q to %q: got %q, want %q", name, tt.ref, tt.hyp, strings.Join(got, " "), c.want)
			}
		}
	}
}
