package doctor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/lease"
)

const (
	// liveFor is how recent a stream's newest frame must be for it to be called live.
	liveFor = 3 * time.Second
	// handOver is how long a lease may have no holder because one takes over from another.
	handOver = 2 * lease.TTL
	// lookFor bounds one look: a server that does not let this user read something never answers.
	lookFor = 3 * time.Second
)

// Leases are who does what only one process may do, and for which streams somebody must.
type Leases struct {
	Err   error             // why they cannot be read
	Holds map[string]string // by lease: the process that has it
	Live  []string          // streams of which audio comes in now
	Blind error             // why it cannot be told which streams are live
}

// leases looks twice where something is missing: it may be on its way from one to another.
func (s *Site) leases(ctx context.Context) []Finding {
	conn, err := bus.Dial(s.Config.NATS, "rtap-doctor")
	if err != nil {
		return nil // said by the check of the server
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return Leases{Err: err}.Findings()
	}
	b, _ := bus.Over(s.Config, slog.New(slog.DiscardHandler), js, nil)
	found := lookAtLeases(ctx, b).Findings()
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Status == Fail || f.Status == Warn }) {
		return found
	}
	select {
	case <-ctx.Done():
		return found
	case <-time.After(handOver):
	}
	return lookAtLeases(ctx, b).Findings()
}

func lookAtLeases(ctx context.Context, b *bus.Bus) Leases {
	ctx, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	l := Leases{Holds: map[string]string{}}
	all, err := b.Leases().All(ctx)
	if err != nil {
		l.Err = err
		return l
	}
	for _, h := range all {
		l.Holds[h.Key] = h.GetHolder()
	}
	streams, err := b.AudioStreams(ctx)
	if err != nil {
		l.Blind = err
		return l
	}
	for _, id := range streams {
		age, source, err := b.LastFrameAge(ctx, id)
		if err != nil {
			l.Blind = err
			return l
		}
		if source != "" && age < liveFor {
			l.Live = append(l.Live, id)
		}
	}
	return l
}

// Findings judges the facts.
func (l Leases) Findings() []Finding {
	const name = "leases"
	switch {
	case errors.Is(l.Err, jetstream.ErrBucketNotFound):
		return []Finding{{name, Info, "none yet; the first process that starts makes their bucket", ""}}
	case l.Err != nil:
		return []Finding{{name, Info, "who holds them cannot be read: " + l.Err.Error(), ""}}
	}
	var out []Finding
	for _, id := range l.Live {
		if l.Holds[lease.Capture(id)] == "" {
			out = append(out, Finding{name, Warn, "audio of " + id + " comes in, and no process holds the lease to capture it", "look at rtap-capture's log: a process that lost the lease should have stopped"})
		}
		if l.Holds[lease.VAD(id)] == "" {
			out = append(out, Finding{name, Fail, "audio of " + id + " comes in, and nobody finds the speech in it", "start rtap-vad, or look at its log; it goes on where the stream was left"})
		}
	}
	gateway := l.Holds[lease.Gateway]
	if gateway == "" && (len(l.Live) > 0 || len(l.Holds) > 0) {
		out = append(out, Finding{name, Fail, "no gateway is active: finals are not released", "start rtap-egress, or look at its log; finals wait for it"})
	}
	f := Finding{name, OK, l.held(), ""}
	switch {
	case l.Blind != nil:
		f.Status = Info
		f.Detail += "; which streams are live cannot be read: " + l.Blind.Error()
	case len(l.Holds) == 0:
		f = Finding{name, Info, "nobody holds any: no pipeline runs on this server", ""}
	}
	if len(out) > 0 && len(l.Holds) == 0 {
		return out
	}
	return append(out, f)
}

// held says who does what.
func (l Leases) held() string {
	var parts []string
	if g := l.Holds[lease.Gateway]; g != "" {
		parts = append(parts, "active gateway "+g)
	}
	for _, kind := range []struct{ prefix, what string }{{lease.Capture(""), "captured by"}, {lease.VAD(""), "segmented by"}} {
		by := map[string][]string{}
		for key, holder := range l.Holds {
			if id, ok := strings.CutPrefix(key, kind.prefix); ok {
				by[holder] = append(by[holder], id)
			}
		}
		var lines []string
		for holder, ids := range by {
			slices.Sort(ids)
			what := strings.Join(ids[:min(len(ids), 3)], ", ")
			if more := len(ids) - 3; more > 0 {
				what += fmt.Sprintf(" and %d more", more)
			}
			lines = append(lines, fmt.Sprintf("%s %s %s", what, kind.what, holder))
		}
		slices.Sort(lines)
		parts = append(parts, lines...)
	}
	return strings.Join(parts, "; ")
}
