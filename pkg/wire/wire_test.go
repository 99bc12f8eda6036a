package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

func TestResultsKeepEveryField(t *testing.T) {
	raw, err := wire.MarshalJSON(&rtapv1.Results{Type: "Results", Rtap: &rtapv1.ResultsRtap{Seq: 17}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"is_final":false`, `"speech_final":false`, `"late":false`, `"seq":17`, `"gap_ms":0`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("%s lacks %s", raw, want)
		}
	}
	if strings.ContainsAny(string(raw), "\n") {
		t.Error("not one line")
	}
}

func TestParseEntry(t *testing.T) {
	raw, err := wire.MarshalJSON(&rtapv1.UtteranceEnd{Type: "UtteranceEnd", Rtap: &rtapv1.MarkerRtap{AfterSeq: 3, Ordinal: 5, StreamId: "a"}})
	if err != nil {
		t.Fatal(err)
	}
	e, err := wire.ParseEntry(raw)
	if err != nil || e.UtteranceEnd == nil || e.Seq() != 3 || e.Ordinal() != 5 || e.StreamID() != "a" {
		t.Errorf("got %+v, %v", e, err)
	}
	if _, err := wire.ParseEntry([]byte(`{"type":"Other"}`)); !errors.Is(err, wire.ErrUnknownType) {
		t.Errorf("unknown type: %v", err)
	}
	if _, err := wire.ParseEntry([]byte(`nonsense`)); err == nil {
		t.Error("nonsense was read")
	}
}

func FuzzParseEntry(f *testing.F) {
	f.Add([]byte(`{"type":"Results","rtap":{"seq":1}}`))
	f.Add([]byte(`{"type":"StreamEnd"}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		e, err := wire.ParseEntry(data)
		if err == nil {
			_, _, _ = e.Seq(), e.Ordinal(), e.StreamID()
		}
	})
}
