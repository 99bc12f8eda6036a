package listen

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/ingest"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	encoding            = "linear16"
	minRateHz           = 8000
	maxRateHz           = 48000
	typeUnsupported     = "unsupported_parameter"
	typeIgnored         = "ignored_value"
	typeIncomplete      = "incomplete_sample"
	keyInterims         = "interim_results"
	keyEvents           = "vad_events"
	keyOpeningMetadata  = "opening_metadata"
	keyUtteranceEnd     = "utterance_end_ms"
	messageNotSupported = "this has no effect here"
)

// query is what a client asks for.
type query struct {
	stream          string // empty: to be made up
	format          ingest.Format
	interims        bool
	events          bool
	openingMetadata bool
	utteranceEnds   bool // as Deepgram does it: for whom names utterance_end_ms
	warnings        []*rtapv1.ListenWarning
}

// silent are keys of Deepgram's that need no honouring here: texts have punctuation, and
// nothing leaves the machine.
var silent = map[string]string{"punctuate": "true", "mip_opt_out": ""}

// parse reads a client's query. What Deepgram's clients may ask for and is not honoured is
// a warning; what would make another stream of the audio than the client means is an error.
func parse(v url.Values, cfg *config.Config) (query, error) {
	q := query{format: ingest.Format{Channels: 1}, utteranceEnds: v.Has(keyUtteranceEnd)}
	var errs []error
	number := func(key string, low, high int) int {
		n, err := strconv.Atoi(v.Get(key))
		if err != nil || n < low || n > high {
			errs = append(errs, fmt.Errorf("%s=%q: want a number from %d to %d", key, v.Get(key), low, high))
		}
		return n
	}
	flag := func(key string) bool {
		on, err := strconv.ParseBool(v.Get(key))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s=%q: want true or false", key, v.Get(key)))
		}
		return on
	}
	switch {
	case !v.Has("encoding"):
		errs = append(errs, errors.New("encoding is missing: want encoding=linear16, signed 16-bit little-endian samples; files with a header are not taken here"))
	case !strings.EqualFold(v.Get("encoding"), encoding):
		errs = append(errs, fmt.Errorf("encoding=%q is not supported: want linear16, signed 16-bit little-endian samples", v.Get("encoding")))
	}
	if v.Has("sample_rate") {
		q.format.SampleRateHz = number("sample_rate", minRateHz, maxRateHz)
	} else {
		errs = append(errs, fmt.Errorf("sample_rate is missing: want the samples per second, from %d to %d", minRateHz, maxRateHz))
	}
	for _, key := range slices.Sorted(maps.Keys(v)) {
		switch key {
		case "encoding", "sample_rate":
		case "channels":
			q.format.Channels = number(key, 1, 2)
		case "stream":
			q.stream = v.Get(key)
			errs = append(errs, bus.ValidateStreamID(q.stream))
		case keyInterims:
			q.interims = flag(key)
		case keyEvents:
			q.events = flag(key)
		case keyOpeningMetadata:
			q.openingMetadata = flag(key)
		case "callback":
			errs = append(errs, errors.New("callback is not supported: transcripts come over this connection"))
		default:
			if w := warning(key, v.Get(key), cfg); w != nil {
				q.warnings = append(q.warnings, w)
			}
		}
	}
	return q, errors.Join(errs...)
}

// warning says what is not honoured about a key; nil when nothing is missing.
func warning(key, value string, cfg *config.Config) *rtapv1.ListenWarning {
	w := &rtapv1.ListenWarning{Parameter: key, Type: typeIgnored}
	switch key {
	case "model":
		if value == cfg.STT.Model {
			return nil
		}
		w.Message = fmt.Sprintf("model=%s: the operator's model is used (stt.model = %s)", value, cfg.STT.Model)
	case "language":
		if primary, _, _ := strings.Cut(value, "-"); primary == cfg.STT.Language {
			return nil
		}
		w.Message = fmt.Sprintf("language=%s: the operator's language is used (stt.language = %s)", value, cfg.STT.Language)
	case keyUtteranceEnd:
		if value == strconv.Itoa(cfg.VAD.UtteranceEndMS) {
			return nil
		}
		w.Message = fmt.Sprintf("utterance_end_ms=%s: an utterance ends after %d ms of silence (vad.utterance_end_ms)", value, cfg.VAD.UtteranceEndMS)
	case "endpointing":
		w.Message = fmt.Sprintf("endpointing=%s: the operator's pause is used (vad.hangover_ms = %d; 0 is the model's)", value, cfg.VAD.HangoverMS)
	case "multichannel":
		if value == "false" {
			return nil
		}
		w.Message = "multichannel=" + value + ": channels are mixed into one"
	default:
		if only, ok := silent[key]; ok && (only == "" || value == only) || value == "false" {
			return nil
		}
		w.Type, w.Message = typeUnsupported, key+": "+messageNotSupported
	}
	return w
}
