package feed

import "testing"

func TestSentences(t *testing.T) {
	for _, tt := range []struct {
		pieces []string
		want   string
	}{
		{nil, ""},
		{[]string{"", " "}, ""},
		{[]string{"it was the best of times,", "it was the worst of times."}, "It was the best of times, it was the worst of times."},
		{[]string{"It was the best of times.", "it was the worst of times,"}, "It was the best of times it was the worst of times."},
		{[]string{"He went home.", "She stayed."}, "He went home. She stayed."},
		{[]string{"Who is it?", "it is me"}, "Who is it? it is me."},
		{[]string{"well -"}, "Well."},
		{[]string{"élan vital"}, "Élan vital."},
	} {
		if got := sentences(tt.pieces); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.pieces, got, tt.want)
		}
	}
}
