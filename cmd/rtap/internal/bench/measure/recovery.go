package measure

import (
	"cmp"
	"slices"
)

// inARow is how many finals in a row must be in time until all is called well again: one
// may be so by chance.
const inARow = 3

// Recovery is how finals fared in an overload and after it. Times are in seconds.
type Recovery struct {
	// OldestFinal is the highest age of a final: from the capture of the last speech in it to its arrival.
	OldestFinal float64 `json:"oldest_final_seconds"`
	// Late are the finals, of Finals, that came after the goal.
	Finals int `json:"finals"`
	Late   int `json:"late"`
	// QueueEmpty is from the end of the overload to the arrival of the last final of what had been said until then.
	QueueEmpty float64 `json:"queue_empty_seconds"`
	// InTime is from the end of the overload to the arrival of the first of three finals in a row, of speech after
	// it, that came within the goal; nil when there were none.
	InTime *float64 `json:"in_time_seconds"`
}

// Recover looks at the ends of speech of all streams. end is when the overload did, in ns of
// the host's monotonic clock; goal is the age in ms up to which a final is in time.
func Recover(streams []Stream, end int64, goal float64) Recovery {
	var r Recovery
	type final struct{ said, at int64 }
	var after []final
	late := func(f final) bool { return float64(f.at-f.said)/1e6 > goal }
	for i := range streams {
		s := &streams[i]
		for _, e := range s.Recording.Ends() {
			if !e.Counts() {
				continue
			}
			last := s.last(e)
			if last == nil || last.End < e.Sample-tailSlack {
				continue
			}
			f := final{s.Captured(e.Sample), last.At}
			r.Finals++
			if late(f) {
				r.Late++
			}
			r.OldestFinal = max(r.OldestFinal, float64(f.at-f.said)/1e9)
			if f.said > end {
				after = append(after, f)
			} else {
				r.QueueEmpty = max(r.QueueEmpty, float64(f.at-end)/1e9)
			}
		}
	}
	slices.SortFunc(after, func(a, b final) int { return cmp.Compare(a.at, b.at) })
	run := 0
	for i, f := range after {
		if run++; late(f) {
			run = 0
		}
		if run == inARow {
			seconds := float64(after[i-inARow+1].at-end) / 1e9
			r.InTime = &seconds
			break
		}
	}
	return r
}
