package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
)

// kept are the streams that a backup holds. Everything else is work in progress.
var kept = []string{bus.StreamTranscripts, bus.StreamDead, bus.StreamEvents}

// storedHeader keeps when a message was first stored, over any number of restores.
const storedHeader = "Rtap-Stored-At"

// record is one message: a line of a part. JSON stays readable, everything else is base64.
type record struct {
	Subject string          `json:"subject"`
	Stored  time.Time       `json:"stored"`
	Header  nats.Header     `json:"header,omitempty"`
	JSON    json.RawMessage `json:"json,omitempty"`
	Data    []byte          `json:"data,omitempty"`
}

func newRecord(m jetstream.Msg, stored time.Time) record {
	r := record{Subject: m.Subject(), Stored: stored.UTC(), Header: nats.Header{}}
	for key, values := range m.Headers() {
		if key == storedHeader {
			if t, err := time.Parse(time.RFC3339Nano, values[0]); err == nil {
				r.Stored = t
			}
			continue
		}
		// Conditions held when it was stored, and the server would check them again.
		if len(key) < 5 || key[:5] != "Nats-" {
			r.Header[key] = values
		}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, m.Data()) == nil && bytes.Equal(compact.Bytes(), m.Data()) {
		r.JSON = m.Data()
	} else {
		r.Data = m.Data()
	}
	return r
}

// append adds the record as a line.
func (r record) append(out *bytes.Buffer) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // byte for byte as it was
	if err := enc.Encode(r); err != nil {
		return fmt.Errorf("encoding a message of %s: %w", r.Subject, err)
	}
	return nil
}

var logIDField = regexp.MustCompile(`"log_id":"[^"]*"`)

// message is what a restore stores. Finals name the log that they are in, which is another
// one then; quotation marks in a text are escaped and cannot be taken for the field's.
func (r record) message(logID string) *nats.Msg {
	m := &nats.Msg{Subject: r.Subject, Data: r.Data, Header: nats.Header{}}
	for key, values := range r.Header {
		m.Header[key] = values
	}
	m.Header.Set(storedHeader, r.Stored.Format(time.RFC3339Nano))
	if r.JSON != nil {
		m.Data = r.JSON
		if bus.IsFinal(r.Subject) {
			m.Data = logIDField.ReplaceAllLiteral(r.JSON, []byte(`"log_id":"`+logID+`"`))
		}
	}
	return m
}
