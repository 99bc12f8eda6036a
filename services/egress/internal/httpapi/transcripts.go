package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// transcripts answers with a page of the log.
func (a *API) transcripts(r *http.Request, w http.ResponseWriter) error {
	p := query(r, "stream", "from_seq", "since", "limit", "after", "markers", "log_id")
	limit := int(p.number("limit", 1, maxLimit, defaultLimit))
	rng := feed.Range{
		Stream: p.stream("stream"), FromSeq: uint32(p.number("from_seq", 0, math.MaxUint32, 0)),
		After: p.number("after", 0, math.MaxInt64, 0), Since: p.moment("since", time.Now()),
	}
	markers := p.flag("markers")
	if rng.FromSeq > 0 && rng.Stream == "" {
		p.bad("from_seq needs stream=: numbers count per stream")
	}
	if p.err != nil {
		return p.err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	id, err := a.log(ctx, p.values.Get("log_id"))
	if err != nil {
		return err
	}
	page, next, last := []json.RawMessage{}, "", uint64(0)
	err = a.hub.Read(ctx, rng, func(m feed.Message) (bool, error) {
		if m.Results == nil && !markers {
			return true, nil
		}
		if len(page) == limit {
			q := r.URL.Query()
			for _, gone := range []string{"token", "since", "from_seq"} { // the place in the log says as much
				q.Del(gone)
			}
			q.Set("after", strconv.FormatUint(last, 10))
			next = r.URL.Path + "?" + q.Encode()
			return false, nil
		}
		page, last = append(page, m.Data), m.Sequence
		return true, nil
	})
	if err != nil {
		return err
	}
	return a.json(w, map[string]any{"log_id": id, "transcripts": page, "next": next})
}

// stream is one line of /v1/streams.
type stream struct {
	ID      string     `json:"stream_id"`
	Live    bool       `json:"live"`
	Ended   bool       `json:"ended"`
	LastSeq uint32     `json:"last_seq"`
	Entries uint64     `json:"entries"`
	LastAt  *time.Time `json:"last_at,omitempty"`
}

// streams answers with those that are captured now or have entries in the log.
func (a *API) streams(r *http.Request, w http.ResponseWriter) error {
	if p := query(r); p.err != nil {
		return p.err
	}
	ctx, cancel := context.WithTimeout(r.Context(), answerTime)
	defer cancel()
	id, err := a.log(ctx, "")
	if err != nil {
		return err
	}
	s, err := a.rt.Bus.JS().Stream(ctx, bus.StreamTranscripts)
	if err != nil {
		return fmt.Errorf("opening transcripts: %w", err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(bus.AllFinals))
	if err != nil {
		return fmt.Errorf("listing transcripts: %w", err)
	}
	found := map[string]*stream{}
	for subject, entries := range info.State.Subjects {
		name := bus.StreamOf(subject)
		found[name] = &stream{ID: name, Entries: entries}
		last, _, err := a.rt.Bus.LastFinal(ctx, name)
		if err != nil {
			return err
		}
		if last == nil {
			continue // removed since it was listed
		}
		found[name].LastSeq, found[name].Ended = last.Seq(), last.StreamEnd != nil
		if at := capturedAt(last); at.IsValid() {
			t := at.AsTime()
			found[name].LastAt = &t
		}
	}
	for _, name := range a.live() {
		if found[name] == nil {
			found[name] = &stream{ID: name}
		}
		found[name].Live = true
	}
	out := []*stream{}
	for _, s := range found {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y *stream) int { return strings.Compare(x.ID, y.ID) })
	return a.json(w, map[string]any{"log_id": id, "streams": out})
}

// capturedAt is when the audio of an entry ended; nil when it does not say.
func capturedAt(e *wire.Entry) *timestamppb.Timestamp {
	switch {
	case e.Results != nil:
		return e.Results.GetRtap().GetCapturedAt()
	case e.UtteranceEnd != nil:
		return e.UtteranceEnd.GetRtap().GetCapturedAt()
	default:
		return e.StreamEnd.GetRtap().GetCapturedAt()
	}
}
