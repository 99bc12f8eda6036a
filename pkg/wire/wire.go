// Package wire turns the messages of proto/rtap/v1 into what travels on the bus and
// to subscribers: compact one-line JSON for people, binary protobuf for machines.
package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Content types of the Content-Type header.
const (
	ContentTypeHeader = "Content-Type"
	JSON              = "application/json"
	Protobuf          = "application/x-protobuf"
)

// Schema is the version of the JSON messages.
const Schema = 1

// ErrUnknownType is returned for a transcript entry whose type this version does not know.
var ErrUnknownType = errors.New("unknown message type")

var (
	marshal   = protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}
	unmarshal = protojson.UnmarshalOptions{DiscardUnknown: true}
)

// MarshalJSON renders m on one line with every field present.
func MarshalJSON(m proto.Message) ([]byte, error) {
	raw, err := marshal.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	// protojson varies its white space on purpose; subscribers get one stable form.
	var out bytes.Buffer
	out.Grow(len(raw))
	if err := json.Compact(&out, raw); err != nil {
		return nil, fmt.Errorf("compacting %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return out.Bytes(), nil
}

// UnmarshalJSON reads data into m; fields that this version does not know are passed over.
func UnmarshalJSON(data []byte, m proto.Message) error {
	if err := unmarshal.Unmarshal(data, m); err != nil {
		return fmt.Errorf("decoding %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return nil
}

// Type returns the "type" member of a JSON message.
func Type(data []byte) (string, error) {
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return "", fmt.Errorf("reading the message type: %w", err)
	}
	return head.Type, nil
}

// Entry is one message of a stream's transcript log; exactly one of the three is set.
type Entry struct {
	Results      *rtapv1.Results
	UtteranceEnd *rtapv1.UtteranceEnd
	StreamEnd    *rtapv1.StreamEnd
}

// ParseEntry reads a message of rtap.v1.transcript.<stream>.final.
func ParseEntry(data []byte) (Entry, error) {
	kind, err := Type(data)
	if err != nil {
		return Entry{}, err
	}
	var (
		e Entry
		m proto.Message
	)
	switch kind {
	case "Results":
		e.Results = &rtapv1.Results{}
		m = e.Results
	case "UtteranceEnd":
		e.UtteranceEnd = &rtapv1.UtteranceEnd{}
		m = e.UtteranceEnd
	case "StreamEnd":
		e.StreamEnd = &rtapv1.StreamEnd{}
		m = e.StreamEnd
	default:
		return Entry{}, fmt.Errorf("%w %q", ErrUnknownType, kind)
	}
	return e, UnmarshalJSON(data, m)
}

// Message returns the message that is set.
func (e Entry) Message() proto.Message {
	switch {
	case e.Results != nil:
		return e.Results
	case e.UtteranceEnd != nil:
		return e.UtteranceEnd
	default:
		return e.StreamEnd
	}
}

// Ordinal returns the ordinal that the entry was released for.
func (e Entry) Ordinal() uint64 {
	if e.Results != nil {
		return uint64(e.Results.GetRtap().GetOrdinal())
	}
	return uint64(e.marker().GetOrdinal())
}

// Released returns the highest ordinal that was released up to this entry: a late final's
// own is lower.
func (e Entry) Released() uint64 {
	return max(e.Ordinal(), uint64(e.Results.GetRtap().GetReleased()))
}

// Late says whether the entry is a success after its segment had been given up.
func (e Entry) Late() bool { return e.Results.GetRtap().GetLate() }

// Seq returns the number of the entry, or of the final that a marker follows.
func (e Entry) Seq() uint32 {
	if e.Results != nil {
		return e.Results.GetRtap().GetSeq()
	}
	return e.marker().GetAfterSeq()
}

// LogID returns the log that the entry belongs to.
func (e Entry) LogID() string {
	if e.Results != nil {
		return e.Results.GetRtap().GetLogId()
	}
	return e.marker().GetLogId()
}

// StreamID returns the stream of the entry.
func (e Entry) StreamID() string {
	if e.Results != nil {
		return e.Results.GetRtap().GetStreamId()
	}
	return e.marker().GetStreamId()
}

func (e Entry) marker() *rtapv1.MarkerRtap {
	if e.UtteranceEnd != nil {
		return e.UtteranceEnd.GetRtap()
	}
	return e.StreamEnd.GetRtap()
}
