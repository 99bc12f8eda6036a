package simulation

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"github.com/rtap/rtap/test/simulation/broker"
	"google.golang.org/protobuf/proto"
)

// ended says whether a stream's end is in the log.
func (o *oracle) ended(server *broker.Server, stream string) bool {
	done := false
	server.Look(func() {
		h := o.of(stream)
		cp := h.checkpoint
		done = cp.GetEnded() && len(h.log) > 0 && h.log[len(h.log)-1].StreamEnd != nil && h.log[len(h.log)-1].Ordinal() == cp.GetOrdinal()
	})
	return done
}

// verdict judges a stream once everything has come to rest. alive says of a process that it
// was never killed.
func (o *oracle) verdict(server *broker.Server, stream string, room *room, alive func(process string) bool) {
	stored := map[uint32]bool{}
	newest := uint64(0)
	frames, gap, clocks := map[place][]uint32{}, map[place]bool{}, map[place]*rtapv1.Clock{}
	told := map[uint32]bool{} // words in a gap that somebody has marked
	for _, data := range server.Stored(bus.StreamAudio, bus.Audio(stream)) {
		f := &rtapv1.Frame{}
		if err := proto.Unmarshal(data, f); err != nil {
			panic(err)
		}
		newest = max(newest, f.GetEpoch())
		end := room.moment(f.GetClock()).Add(-frameTime)
		for _, n := range room.words(end.Add(-time.Duration(f.GetGapMs())*time.Millisecond), end) {
			told[n] = true
		}
		if f.GetEpoch() < newest {
			continue // of a killed process, and later than its successor's: nobody waits for that
		}
		at := place{f.GetEpoch(), f.GetFrame()}
		frames[at], clocks[at] = spokenInBytes(f.GetPcm()), f.GetClock()
		gap[at] = gap[at] || f.GetGapMs() > 0
		for _, n := range frames[at] {
			stored[n] = true
		}
	}
	h := o.of(stream)
	for _, n := range h.holes(room, clocks, newest) {
		told[n] = true
	}
	for _, r := range h.results {
		if r.GetKind() == rtapv1.Result_KIND_DEAD { // given up, and said so
			for _, n := range h.said(r.GetSpan()) {
				told[n] = true
			}
		}
	}
	for n := uint64(1); n <= h.checkpoint.GetOrdinal(); n++ {
		if h.results[n] == nil {
			o.breaks("lost: %s/%d has no result", stream, n)
		}
	}
	// What a living process has heard is stored, or has been said and lost since.
	heard := room.lastHeard()
	for n := range room.script {
		process := heard[n]
		if room.script[n] && process != "" && alive(process) && !stored[uint32(n)] && h.finals[uint32(n)] == 0 && !told[uint32(n)] {
			o.breaks("lost: word %d of %s was heard by %s and is not stored", n, stream, process)
			break
		}
	}
	// What is stored was said, unless so little of it stands alone that it is no speech.
	// Whoever takes a source over stores some of it once more; the first one is heard.
	seen := map[uint32]bool{}
	for _, at := range slices.SortedFunc(maps.Keys(frames), before) {
		if len(frames[at]) == 0 || seen[frames[at][0]] {
			continue
		}
		seen[frames[at][0]] = true
		run := 1
		for first := at; !gap[first] && len(frames[place{at.epoch, first.frame - 1}]) > 0; first.frame-- {
			run++
		}
		for after := (place{at.epoch, at.frame + 1}); !gap[after] && len(frames[after]) > 0; after.frame++ {
			run++
		}
		if h.finals[frames[at][0]] == 0 && !told[frames[at][0]] && run >= minSpeech {
			o.breaks("lost: word %d of %s is stored as frame %d of epoch %d and in no final", frames[at][0], stream, at.frame, at.epoch)
			break
		}
	}
}

// holes returns the words that whoever had the lease before could not store: from before the
// first frame, and between others. Those who recorded them too had the lease too late.
func (h *history) holes(room *room, clocks map[place]*rtapv1.Clock, newest uint64) (words []uint32) {
	places := slices.SortedFunc(maps.Keys(clocks), before)
	if len(places) == 0 {
		return nil
	}
	last, begins := places[0], h.began
	if last.epoch < newest {
		begins = clocks[last]
	}
	words = room.words(room.began, room.moment(begins).Add(-frameTime))
	for _, at := range places[1:] {
		if at.epoch == last.epoch && at.epoch < newest && at.frame > last.frame+1 {
			words = append(words, room.words(room.moment(clocks[last]), room.moment(clocks[at]).Add(-frameTime))...)
		}
		last = at
	}
	return words
}

func before(a, b place) int {
	return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.frame, b.frame))
}
