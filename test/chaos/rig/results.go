package rig

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// Results notes every result as it is stored, since the gateway deletes it soon.
type Results struct {
	mu       sync.Mutex
	from     uint64 // the first that is stored from now on
	sequence map[uint64]bool
	all      map[string][]stored
}

type stored struct {
	*rtapv1.Result
	at time.Time
}

// FollowResults notes results until ctx is done.
func (r *Rig) FollowResults(ctx context.Context) *Results {
	out := &Results{from: 1, sequence: map[uint64]bool{}, all: map[string][]stored{}}
	if s, err := r.Bus.JS().Stream(ctx, bus.StreamResults); err == nil {
		out.from += s.CachedInfo().State.LastSeq
	}
	go func() {
		cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{bus.AllResults}, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: out.from}
		for ctx.Err() == nil {
			_ = r.Bus.Follow(ctx, r.Bus.Reconnected(), bus.StreamResults, cfg, out.take) // begins anew
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return out
}

func (r *Results) take(m jetstream.Msg) error {
	result := &rtapv1.Result{}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if again := r.sequence[meta.Sequence.Stream]; again {
		return nil
	}
	r.sequence[meta.Sequence.Stream] = true
	if !bus.IsLate(m.Subject()) && proto.Unmarshal(m.Data(), result) == nil {
		r.all[result.GetStreamId()] = append(r.all[result.GetStreamId()], stored{result, meta.Timestamp})
	}
	return nil
}

// All says that every one that has been stored until now was seen; it gives those on their way a moment.
func (r *Results) All(ctx context.Context, b *bus.Bus) bool {
	for range 20 {
		s, err := b.JS().Stream(ctx, bus.StreamResults)
		if err == nil && r.until(s.CachedInfo().State.LastSeq) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return false
}

// until says whether all up to a sequence were seen.
func (r *Results) until(last uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := r.from; n <= last; n++ {
		if !r.sequence[n] {
			return false
		}
	}
	return last >= r.from
}

// Of a stream whose log is given. A worker that slept may store a second result when the first
// has been released and deleted: nobody reads it, the log is ahead of it, and it is left out.
func (r *Results) Of(stream string, log []Logged) (out []*rtapv1.Result) {
	released := func(n uint64) time.Time {
		for _, e := range log {
			if !e.Late() && e.Ordinal() >= n {
				return e.At
			}
		}
		return time.Now()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := map[uint64]bool{}
	for _, s := range r.all[stream] {
		if seen[s.GetOrdinal()] && s.at.After(released(s.GetOrdinal())) {
			continue
		}
		seen[s.GetOrdinal()] = true
		out = append(out, s.Result)
	}
	return out
}
