package transcriber

import (
	"math"
	"slices"

	"github.com/rtap/rtap/pkg/wer"
)

const (
	// mostDifferent is which part of the words may be others in the halves of a text: the cut
	// costs one or two, a clause that nobody has said a third or more.
	mostDifferent = 0.3
	// AloneHalves is Transcript.Alone of a text that was heard in halves.
	AloneHalves = "halves"
)

// InHalves makes the answer of audio whose text goes round in circles: of a decoder that has lost its place, or of
// people who say a phrase again and again. whole is that text, "" when the decoder was stopped in it. hear hears
// each half of the audio alone, and says whether its text does so, too. Where the halves have the words of whole,
// people have said them, and it stands; otherwise the halves are what was said, but those that go round in circles.
// Who writes without blanks joins the words anew.
func InHalves(whole Transcript, audio []float32, hear func(half []float32) (t Transcript, loops bool, err error)) (Transcript, error) {
	middle := stillest(audio)
	first, firstLoops, err := hear(audio[:middle])
	if err != nil {
		return Transcript{}, err
	}
	second, secondLoops, err := hear(audio[middle:])
	if err != nil {
		return Transcript{}, err
	}
	wrong, words := wer.Errors(TextOf(whole.Words, " "), TextOf(slices.Concat(first.Words, second.Words), " "))
	if whole.Text != "" && float64(wrong) <= mostDifferent*float64(words) {
		return whole, nil
	}
	if firstLoops {
		first = Transcript{Language: first.Language}
	}
	if secondLoops {
		second = Transcript{Language: second.Language, SentenceEnd: -1}
	}
	joined := first.and(second, middle)
	if joined.Text == "" {
		return Transcript{Language: whole.Language, Dropped: DropRepetition, SentenceEnd: -1}, nil
	}
	joined.Alone = AloneHalves
	return joined, nil
}

// and joins what was heard in two parts of audio, the second of which begins at a sample.
func (t Transcript) and(second Transcript, at int) Transcript {
	words := slices.Clone(second.Words)
	for i := range words {
		words[i].Start += at
		words[i].End += at
	}
	n, m := float64(len(t.Tokens)), float64(len(second.Tokens))
	joined := Transcript{
		Text: join(t.Text, second.Text), Words: slices.Concat(t.Words, words), Tokens: slices.Concat(t.Tokens, second.Tokens),
		Language: t.Language, SentenceEnd: second.SentenceEnd,
	}
	if n+m > 0 {
		joined.Confidence = math.Pow(t.Confidence, n/(n+m)) * math.Pow(second.Confidence, m/(n+m))
	}
	if t.Text == "" {
		joined.Language = second.Language
	}
	return joined
}

// stillest is where a tenth of a second in the middle half of audio is quietest: there a cut
// costs the fewest words.
func stillest(audio []float32) (at int) {
	const tenth, step = SampleRateHz / 10, SampleRateHz / 100
	at = len(audio) / 2
	least := math.Inf(1)
	for from := len(audio) / 4; from+tenth <= len(audio)*3/4; from += step {
		var sum float64
		for _, x := range audio[from : from+tenth] {
			sum += float64(x) * float64(x)
		}
		if sum < least {
			least, at = sum, from+tenth/2
		}
	}
	return at
}
