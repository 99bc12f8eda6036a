package feed

import (
	"strings"
	"unicode"
	"unicode/utf8"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// utterance joins the texts of an utterance, whose end is given, and tells when its last
// word ended in seconds.
func (o *order) utterance(end *rtapv1.Result) (text string, lastWordEnd float64) {
	var pieces []string
	for n := end.GetUtteranceFirstOrdinal(); n < end.GetOrdinal() && n > 0; n++ {
		st := o.results[n]
		if st == nil || st.result.GetKind() != rtapv1.Result_KIND_TEXT {
			continue
		}
		pieces = append(pieces, st.result.GetRecognition().GetText())
		lastWordEnd = float64(st.result.GetSpan().GetEndSample()) / 16000
		if words := st.result.GetRecognition().GetWords(); len(words) > 0 {
			lastWordEnd = float64(st.result.GetSpan().GetStartSample()+words[len(words)-1].GetEndSample()) / 16000
		}
	}
	return sentences(pieces), lastWordEnd
}

// sentences joins texts of consecutive segments. A recogniser sets a full stop wherever
// audio ends; whether a sentence did is known when the next segment goes on: in lower case
// it is the same one. The first letter is a capital and the end has a mark.
func sentences(pieces []string) string {
	var b strings.Builder
	open := "" // the text not yet written
	for _, piece := range pieces {
		piece = strings.TrimSpace(piece)
		if piece == "" {
			continue
		}
		if open != "" {
			if first, _ := utf8.DecodeRuneInString(piece); unicode.IsLower(first) {
				open = strings.TrimSuffix(open, ".")
			}
			b.WriteString(open)
			b.WriteByte(' ')
		}
		open = piece
	}
	b.WriteString(open)
	text := b.String()
	if text == "" {
		return ""
	}
	if !strings.ContainsAny(text[len(text)-1:], ".?!") {
		text = strings.TrimRight(text, ",;:- ") + "."
	}
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:]
}
