package wire

import (
	"crypto/sha256"
	"fmt"
	"math"
	"strings"
	"unicode"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const sampleRateHz = 16000

// NewResults gives the message for what was recognised in span, with every part made
// and what depends on the receiver (numbers, latencies) left to the caller.
func NewResults(span *rtapv1.Span, rec *rtapv1.Recognition) *rtapv1.Results {
	start := seconds(span.GetStartSample())
	alt := &rtapv1.Alternative{Transcript: rec.GetText(), Confidence: rounded(float64(rec.GetConfidence()))}
	for _, w := range rec.GetWords() {
		alt.Words = append(alt.Words, &rtapv1.TranscriptWord{
			Word: Bare(w.GetText()), PunctuatedWord: w.GetText(),
			Start: rounded(start + seconds(w.GetStartSample())), End: rounded(start + seconds(w.GetEndSample())),
			Confidence: rounded(float64(w.GetConfidence())), Estimated: w.GetEstimated(),
		})
	}
	return &rtapv1.Results{
		Type: "Results", ChannelIndex: []uint32{0, 1},
		Start: rounded(start), Duration: rounded(seconds(span.GetEndSample()) - start),
		Channel: &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{alt}},
		Metadata: &rtapv1.ResultsMetadata{
			ModelInfo: &rtapv1.ModelInfo{Name: rec.GetModel().GetName(), Arch: rec.GetModel().GetArch(), Version: rec.GetModel().GetVersion()},
			ModelUuid: modelUUID(rec.GetModel().GetName(), rec.GetModel().GetVersion()),
		},
		Rtap: &rtapv1.ResultsRtap{
			Schema: Schema, Language: rec.GetLanguage(), Epoch: uint32(span.GetEpoch()), LatencyMs: &rtapv1.LatencyMs{},
		},
	}
}

// modelUUID names a model as Deepgram's clients expect: the same for the same model
// everywhere, in the form of a UUID of version 8.
func modelUUID(name, version string) string {
	h := sha256.Sum256([]byte(name + "\x00" + version))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

// Bare is a word in lower case without the punctuation around it.
func Bare(word string) string {
	return strings.ToLower(strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }))
}

func seconds(samples uint64) float64 { return float64(samples) / sampleRateHz }

func rounded(x float64) float64 { return math.Round(x*10000) / 10000 }
