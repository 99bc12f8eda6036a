package wer_test

import (
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
