package listen

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// results gives a transcript as this client gets it: with its request's id and the times of
// its own audio.
func (s *session) results(r *rtapv1.Results) *rtapv1.Results {
	r = proto.Clone(r).(*rtapv1.Results)
	if r.Metadata == nil {
		r.Metadata = &rtapv1.ResultsMetadata{}
	}
	r.Metadata.RequestId = s.id
	start := s.timeline.client(r.GetStart())
	r.Duration = math.Round((s.timeline.client(r.GetStart()+r.GetDuration())-start)*10000) / 10000
	r.Start = start
	for _, a := range r.GetChannel().GetAlternatives() {
		for _, w := range a.GetWords() {
			w.Start, w.End = s.timeline.client(w.GetStart()), s.timeline.client(w.GetEnd())
		}
	}
	return r
}

// nothing is the answer to a Finalize that makes nothing final.
func (s *session) nothing() *rtapv1.Results {
	at := s.up.format.Seconds(s.up.offset.Load())
	return &rtapv1.Results{
		Type: "Results", ChannelIndex: []uint32{0, 1}, Start: at, IsFinal: true, SpeechFinal: true, FromFinalize: true,
		Channel:  &rtapv1.Channel{Alternatives: []*rtapv1.Alternative{{}}},
		Metadata: &rtapv1.ResultsMetadata{RequestId: s.id, ModelInfo: &rtapv1.ModelInfo{}},
		Rtap: &rtapv1.ResultsRtap{
			Schema: wire.Schema, StreamId: s.q.stream, LogId: s.logID, LatencyMs: &rtapv1.LatencyMs{},
		},
	}
}

// metadata sums the connection up. The sum of the audio is known when all is stored.
func (s *session) metadata(finished bool) *rtapv1.Metadata {
	m := &rtapv1.Metadata{
		Type: "Metadata", TransactionKey: "deprecated", RequestId: s.id, Created: s.opened.UTC().Format("2006-01-02T15:04:05.000Z"),
		Duration: s.up.format.Seconds(s.up.offset.Load()), Channels: uint32(s.up.format.Channels),
		Models: []string{}, ModelInfo: map[string]*rtapv1.ModelInfo{}, Warnings: slices.Clone(s.q.warnings),
		Rtap: &rtapv1.ListenRtap{Schema: wire.Schema, StreamId: s.q.stream, Seq: s.seq, LogId: s.logID},
	}
	for _, model := range s.models {
		m.Models = append(m.Models, model.GetModelUuid())
		m.ModelInfo[model.GetModelUuid()] = model.GetModelInfo()
	}
	if finished {
		m.Sha256 = hex.EncodeToString(s.up.sum.Sum(nil))
		if s.up.offset.Load()%s.up.format.SampleBytes() != 0 {
			m.Warnings = append(m.Warnings, &rtapv1.ListenWarning{
				Parameter: "audio", Type: typeIncomplete, Message: "the audio ends within a sample; that one was dropped",
			})
		}
	}
	return m
}

// trouble says what is wrong. kind is Error or Warning.
func (s *session) trouble(kind, variant, description, message string) *rtapv1.ListenError {
	return &rtapv1.ListenError{
		Type: kind, Variant: variant, Description: description, Message: message, RequestId: s.id,
		StoredSeconds: s.up.format.Seconds(s.up.offset.Load()),
	}
}

// excerpt is the beginning of a client's message, fit for JSON.
func excerpt(data []byte) string {
	return strings.ToValidUTF8(string(data[:min(len(data), 200)]), "\uFFFD")
}

// use notes the model that gave a final.
func (s *session) use(m *rtapv1.ResultsMetadata) {
	if !slices.ContainsFunc(s.models, func(have *rtapv1.ResultsMetadata) bool { return have.GetModelUuid() == m.GetModelUuid() }) {
		s.models = append(s.models, m)
	}
}
