// Package source opens what audio comes from: files, devices and the built-in sample.
package source

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/rtap/rtap/pkg/bus"
)

// Kinds of sources.
const (
	KindMic  = "mic"
	KindFile = "file"
	KindMock = "mock"
)

// ErrURI is wrapped by errors about a source's address.
var ErrURI = errors.New("bad source")

// Spec is a parsed source address.
type Spec struct {
	Kind, Name, Stream string
	Fast               bool
	Repeat             int // mock: times to play; 0 without end
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// Parse reads mic | mic:NAME | file:PATH[?pace=realtime|fast][&stream=ID] | mock[?repeat=N].
func Parse(uri string) (Spec, error) {
	bad := func(why string) (Spec, error) { return Spec{}, fmt.Errorf("%w %q: %s", ErrURI, uri, why) }
	address, rawQuery, _ := strings.Cut(uri, "?")
	kind, name, _ := strings.Cut(address, ":")
	s := Spec{Kind: kind, Name: name}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return bad(err.Error())
	}
	switch kind {
	case KindMic, KindMock:
		s.Stream = kind
	case KindFile:
		if name == "" {
			return bad("want file:PATH")
		}
		base := strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		s.Stream = strings.Trim(unfit.ReplaceAllString(base, "_"), "_")
		if s.Stream == "" {
			s.Stream = "file"
		}
		s.Stream = s.Stream[:min(60, len(s.Stream))]
	default:
		return bad("want mic, mic:NAME, file:PATH or mock")
	}
	for key, values := range query {
		value := values[len(values)-1]
		switch {
		case key == "stream":
			s.Stream = value
		case key == "pace" && kind == KindFile && (value == "realtime" || value == "fast"):
			s.Fast = value == "fast"
		case key == "repeat" && kind == KindMock:
			if s.Repeat, err = strconv.Atoi(value); err != nil || s.Repeat < 0 {
				return bad("repeat: want a number from 0")
			}
		default:
			return bad(fmt.Sprintf("%s=%s is not allowed here: want stream=ID, for a file pace=realtime or pace=fast, for mock repeat=N", key, value))
		}
	}
	if err := bus.ValidateStreamID(s.Stream); err != nil {
		return bad(err.Error())
	}
	return s, nil
}

// ParseAll reads several addresses and gives each stream an id of its own.
func ParseAll(uris []string) ([]Spec, error) {
	var (
		out  []Spec
		errs []error
		used = map[string]bool{}
	)
	for _, uri := range uris {
		s, err := Parse(uri)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for base, n := s.Stream, 2; used[s.Stream]; n++ {
			s.Stream = fmt.Sprintf("%s-%d", base, n)
		}
		used[s.Stream] = true
		out = append(out, s)
	}
	return out, errors.Join(errs...)
}
