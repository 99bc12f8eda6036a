package source_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/services/capture/internal/source"
)

func TestParse(t *testing.T) {
	type spec struct {
		kind, name, stream string
		fast               bool
		repeat             int
	}
	for uri, want := range map[string]spec{
		"mic":                           {kind: "mic", stream: "mic"},
		"mic:USB Audio?stream=left":     {kind: "mic", name: "USB Audio", stream: "left"},
		"mic:hw:1,0":                    {kind: "mic", name: "hw:1,0", stream: "mic"},
		"mock?repeat=2":                 {kind: "mock", stream: "mock", repeat: 2},
		"file:/a/My talk.wav":           {kind: "file", name: "/a/My talk.wav", stream: "My_talk"},
		"file:/a/b.c.flac":              {kind: "file", name: "/a/b.c.flac", stream: "b_c"},
		"listen":                        {kind: "listen", stream: "listen"},
		"file:äö.wav":                   {kind: "file", name: "äö.wav", stream: "file"},
		"file:a.wav?pace=fast&stream=x": {kind: "file", name: "a.wav", stream: "x", fast: true},
		"file:a.wav?pace=realtime":      {kind: "file", name: "a.wav", stream: "a"},
		"file:" + strings.Repeat("a", 90) + ".wav": {
			kind: "file", name: strings.Repeat("a", 90) + ".wav", stream: strings.Repeat("a", 64)},
	} {
		got, err := source.Parse(uri)
		if err != nil || (spec{got.Kind, got.Name, got.Stream, got.Fast, got.Repeat}) != want {
			t.Errorf("%s: %+v, %v", uri, got, err)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	for uri, want := range map[string]string{
		"":                 "want mic",
		"http://x":         "want mic",
		"listen?stream=a":  "listen takes no options",
		"listen:5802":      "want mic",
		"file:":            "want file:PATH",
		"mic:":             "want mic:NAME",
		"mock:x":           "want mic",
		"file:a?pace=slow": "pace=slow is not allowed",
		"mock?pace=fast":   "not allowed",
		"mic?stream=a.b":   "A-Z a-z 0-9 _ -",
		"mic?stream=":      "A-Z a-z 0-9 _ -",
		"mock?repeat=x":    "repeat",
		"mock?repeat=-1":   "repeat",
		"mic?%zz":          "%zz",
	} {
		_, err := source.Parse(uri)
		if !errors.Is(err, source.ErrURI) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), uri) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestEachStreamHasAnIDOfItsOwn(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, tt := range []struct{ uris, want []string }{
		{[]string{"mock", "mock", "mic", "mock"}, []string{"mock", "mock-2", "mic", "mock-3"}},
		{[]string{"file:x/a.wav", "file:y/a.flac", "mic?stream=a"}, []string{"a-2", "a-3", "a"}},
		{[]string{"mic?stream=a", "mic?stream=a-2", "mock?stream=a"}, []string{"a", "a-2", "a-3"}},
		{[]string{"file:" + long, "file:" + long}, []string{long, long[:62] + "-2"}},
	} {
		all, err := source.ParseAll(tt.uris)
		if err != nil {
			t.Errorf("%v: %v", tt.uris, err)
			continue
		}
		for i, s := range all {
			if s.Stream != tt.want[i] || bus.ValidateStreamID(s.Stream) != nil {
				t.Errorf("%v: stream %d is %q, want %q", tt.uris, i, s.Stream, tt.want[i])
			}
		}
	}
	if _, err := source.ParseAll([]string{"mock", "x", "y"}); err == nil || strings.Count(err.Error(), "bad source") != 2 {
		t.Errorf("both bad ones: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("file:a.wav?pace=fast&stream=x")
	f.Add("mic:x?")
	f.Fuzz(func(t *testing.T, uri string) {
		if s, err := source.Parse(uri); err == nil && bus.ValidateStreamID(s.Stream) != nil {
			t.Errorf("%q gives stream %q", uri, s.Stream)
		}
	})
}
