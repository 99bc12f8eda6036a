package listen

import (
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/services/egress/internal/feed"
	"google.golang.org/protobuf/proto"
)

// give passes on what the feed says of the session's stream. It returns false when the
// client has gone.
func (s *session) give(m feed.Message) bool {
	switch {
	case m.Started != nil:
		if !s.q.events {
			return true
		}
		started := proto.Clone(m.Started).(*rtapv1.SpeechStarted)
		started.Timestamp = s.timeline.client(started.GetTimestamp())
		return s.send(started)
	case !m.Final:
		if !s.q.interims || uint64(m.Results.GetRtap().GetEpoch()) <= s.epoch {
			return true
		}
		return s.send(s.results(m.Results))
	}
	ok := s.entry(m.Entry)
	s.through = max(s.through, m.Entry.Ordinal())
	return ok && s.answer()
}

// entry passes a message of the stream's log on, unless it is of an earlier client's.
func (s *session) entry(e wire.Entry) bool {
	switch {
	case e.Results != nil:
		if uint64(e.Results.GetRtap().GetEpoch()) <= s.epoch {
			return true
		}
		s.seq = e.Seq()
		s.use(e.Results.GetMetadata())
		if e.Results.GetFromFinalize() {
			s.asked = max(0, s.asked-1)
		}
		return s.send(s.results(e.Results))
	case e.UtteranceEnd != nil:
		// Clients that did not ask take every message with a channel for Results.
		if !s.q.utteranceEnds || uint64(e.UtteranceEnd.GetRtap().GetEpoch()) <= s.epoch {
			return true
		}
		end := proto.Clone(e.UtteranceEnd).(*rtapv1.UtteranceEnd)
		end.LastWordEnd = s.timeline.client(end.GetLastWordEnd())
		return s.send(end)
	default:
		s.finished = s.finished || uint64(e.StreamEnd.GetRtap().GetEpoch()) > s.epoch
		return true
	}
}

// notice takes what tells that a Finalize has come to nothing: vad had no open segment, or
// the segment has no text.
func (s *session) notice(m *nats.Msg) {
	if strings.HasPrefix(m.Subject, bus.Vad(s.q.stream, "")) {
		e := &rtapv1.VadEvent{}
		if err := wire.UnmarshalJSON(m.Data, e); err != nil {
			return
		}
		// The segment's id ends with the ordinal that comes next.
		id := e.GetSegmentId()
		if next, err := strconv.ParseUint(id[strings.LastIndex(id, "-")+1:], 10, 64); err == nil && next > 0 {
			s.waiting = append(s.waiting, next-1)
		}
		return
	}
	r := &rtapv1.Result{}
	if err := proto.Unmarshal(m.Data, r); err != nil || r.GetSpan().GetEpoch() <= s.epoch || r.GetKind() == rtapv1.Result_KIND_TEXT {
		return
	}
	s.settled[r.GetOrdinal()] = true
	if r.GetFromFinalize() {
		s.waiting = append(s.waiting, r.GetOrdinal())
	}
}

// ask takes a Finalize. One that has nothing to make final is answered at once, unless
// another is still to be: that answer is this one's too.
func (s *session) ask(stored bool) bool {
	if !stored && s.asked == 0 {
		return s.send(s.nothing())
	}
	if stored {
		s.asked++
	}
	return true
}

// askAll takes the Finalizes that came before something that may answer them.
func (s *session) askAll() bool {
	for {
		select {
		case stored := <-s.asks:
			if !s.ask(stored) {
				return false
			}
		default:
			return true
		}
	}
}

// answer tells the client that a Finalize has come to nothing, when all that it said before
// is final.
func (s *session) answer() bool {
	for s.settled[s.through+1] {
		delete(s.settled, s.through+1)
		s.through++
	}
	for len(s.waiting) > 0 && s.waiting[0] <= s.through {
		s.waiting = s.waiting[1:]
		s.asked = max(0, s.asked-1)
		if !s.send(s.nothing()) {
			return false
		}
	}
	return true
}
