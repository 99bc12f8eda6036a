// Package source says what audio comes from, and decodes files.
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
	// KindListen is the audio of all remote clients, each a stream of its own.
	KindListen = "listen"
)

// ErrURI is wrapped by errors about a source's address.
var ErrURI = errors.New("bad source")

// Spec is a parsed source address.
type Spec struct {
	Kind string
	// Name is the path of a file, or the wanted name or id of a device; empty for the
	// configured one.
	Name string
	// Stream is the id of the stream that the source becomes.
	Stream string
	// Fast plays a file as fast as the pipeline takes it instead of in real time.
	Fast bool
	// Repeat is how often the mock plays; 0 is without end.
	Repeat int

	chosen bool // the id was given by stream=ID
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// idLength is the longest stream id that [bus.ValidateStreamID] takes.
const idLength = 64

// Parse reads mic | mic:NAME | file:PATH[?pace=realtime|fast][&stream=ID] | mock[?repeat=N] |
// listen; all but listen take stream=ID.
func Parse(uri string) (Spec, error) {
	bad := func(why string) (Spec, error) { return Spec{}, fmt.Errorf("%w %q: %s", ErrURI, uri, why) }
	address, rawQuery, _ := strings.Cut(uri, "?")
	kind, name, named := strings.Cut(address, ":")
	s := Spec{Kind: kind, Name: name, Stream: kind}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		return bad(err.Error())
	}
	switch {
	case kind == KindMic && named && name == "":
		return bad("want mic:NAME, or mic alone for the device that audio.device names")
	case kind == KindMic, kind == KindMock && !named, kind == KindListen && !named:
	case kind == KindFile && name != "":
		s.Stream = idOf(name)
	case kind == KindFile:
		return bad("want file:PATH")
	default:
		return bad("want mic, mic:NAME, file:PATH, mock or listen")
	}
	for key, values := range query {
		if why := s.option(key, values[len(values)-1]); why != "" {
			return bad(why)
		}
	}
	if err := bus.ValidateStreamID(s.Stream); err != nil {
		return bad(err.Error())
	}
	return s, nil
}

// option takes one key of the query, or says what is wrong with it.
func (s *Spec) option(key, value string) string {
	var err error
	switch {
	case s.Kind == KindListen:
		return "listen takes no options: each client names its stream"
	case key == "stream":
		s.Stream, s.chosen = value, true
	case key == "pace" && s.Kind == KindFile && (value == "realtime" || value == "fast"):
		s.Fast = value == "fast"
	case key == "repeat" && s.Kind == KindMock:
		if s.Repeat, err = strconv.Atoi(value); err != nil || s.Repeat < 0 {
			return "repeat: want a number from 0"
		}
	default:
		return fmt.Sprintf("%s=%s is not allowed here: want stream=ID, for a file pace=realtime or pace=fast, for mock repeat=N", key, value)
	}
	return ""
}

// idOf makes a stream id of a file's name.
func idOf(path string) string {
	base := filepath.Base(path)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	id := strings.Trim(unfit.ReplaceAllString(base, "_"), "_")
	if id == "" {
		return KindFile
	}
	return id[:min(idLength, len(id))]
}

// ParseAll reads several addresses and gives each stream an id of its own: what would
// come twice gets -2, -3 and so on. Ids given by stream=ID are kept before those that
// are made up, in the order of the addresses.
func ParseAll(uris []string) ([]Spec, error) {
	var errs []error
	out := make([]Spec, 0, len(uris))
	for _, uri := range uris {
		s, err := Parse(uri)
		errs = append(errs, err)
		out = append(out, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	used := map[string]bool{}
	for _, chosen := range []bool{true, false} {
		for i := range out {
			if out[i].chosen == chosen {
				out[i].Stream = unused(out[i].Stream, used)
				used[out[i].Stream] = true
			}
		}
	}
	return out, nil
}

func unused(id string, used map[string]bool) string {
	base := id
	for n := 2; used[id]; n++ {
		suffix := fmt.Sprintf("-%d", n)
		id = base[:min(len(base), idLength-len(suffix))] + suffix
	}
	return id
}
