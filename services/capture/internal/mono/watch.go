package mono

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

const (
	// mostWatched is how many channels fit a set.
	mostWatched = 64
	// blocksASecond: over so short a time the level is measured, and any offset taken out.
	blocksASecond = 25
	// leastSignal is the power, 1 being full scale, below which nobody says anything (-50 dB).
	leastSignal = 1e-5
	// silentPart is the power of a channel, in parts of the loudest, below which it is silent
	// (-30 dB): far less than what one voice gives to the other's microphone.
	silentPart = 1e-3
	// firstSilent is for how many seconds of signal a channel must have been silent since the
	// beginning. One that was heard may be the other side of a call, and is given a minute.
	firstSilent, laterSilent = 5, 60
	// opposed is the correlation of a channel with the sum of the others, and cancelled the
	// power of the mix in parts of the loudest channel (-9 dB), below which phases are opposite.
	// A room, or music, does not come to both for a second.
	opposed, cancelled = -0.7, 0.125
	// opposedOver is for how many seconds of signal phases must be right again.
	opposedOver = 3
)

// Problems of channels; the names are those of the metric's label and the event's attribute.
const (
	ProblemOneSided = "one_sided"
	ProblemOpposite = "opposite_phase"
)

// Finding is a problem that has begun or is over.
type Finding struct {
	Problem string
	Over    bool
	Value   string // which channels, or how bad it is
	Message string // what it is and what to do
}

// sums are of one channel; cross is with the sum of all.
type sums struct{ sum, squares, cross float64 }

// watch judges seconds in which there was signal.
type watch struct {
	take  int
	tell  func(Finding)
	block int // samples of one

	n        int
	all      sums // of the sum of all channels
	channels []sums

	// Of the second that is judged next, without offsets.
	blocks       int
	power, cross []float64
	allPower     float64

	silent       []int // seconds since each channel was heard
	heard        uint64
	right        int // seconds since phases were opposite
	toldSilent   uint64
	toldOpposite uint64
}

func newWatch(channels, rateHz, take int, tell func(Finding)) *watch {
	return &watch{
		take: take, tell: tell, block: max(1, rateHz/blocksASecond), channels: make([]sums, channels),
		power: make([]float64, channels), cross: make([]float64, channels), silent: make([]int, channels),
	}
}

// add takes one sample of each channel and their sum.
func (w *watch) add(frame []float32, sum float64) {
	w.all.sum += sum
	w.all.squares += sum * sum
	for i, x := range frame {
		v, c := float64(x), &w.channels[i]
		c.sum += v
		c.squares += v * v
		c.cross += v * sum
	}
	if w.n++; w.n == w.block {
		w.endBlock()
	}
}

// endBlock adds a block to the second, if there is signal in it.
func (w *watch) endBlock() {
	n := float64(w.n)
	all := w.all.squares - w.all.sum*w.all.sum/n
	loudest, total := 0.0, all
	for _, c := range w.channels {
		power := c.squares - c.sum*c.sum/n
		loudest, total = max(loudest, power), total+power
	}
	// Files of floats may hold what is no number.
	if loudest >= leastSignal*n && !math.IsNaN(total) && !math.IsInf(total, 0) {
		w.blocks++
		w.allPower += all
		for i, c := range w.channels {
			w.power[i] += c.squares - c.sum*c.sum/n
			w.cross[i] += c.cross - c.sum*w.all.sum/n
		}
	}
	w.n, w.all = 0, sums{}
	clear(w.channels)
	if w.blocks == blocksASecond {
		w.judge()
		w.blocks, w.allPower = 0, 0
		clear(w.power)
		clear(w.cross)
	}
}

// judge looks at a second of signal.
func (w *watch) judge() {
	best := w.loudest(0)
	w.judgeSilence(best)
	if w.take == 0 {
		w.judgePhase(best)
	}
}

// loudest is the channel with most power that is not in a set.
func (w *watch) loudest(without uint64) int {
	best := -1
	for i, power := range w.power {
		if without&(1<<i) == 0 && (best < 0 || power > w.power[best]) {
			best = i
		}
	}
	return best
}

func (w *watch) judgeSilence(best int) {
	var now uint64
	for i, power := range w.power {
		if power >= silentPart*w.power[best] {
			w.silent[i] = 0
			w.heard |= 1 << i
			continue
		}
		w.silent[i]++
		wait := firstSilent
		if w.heard&(1<<i) != 0 {
			wait = laterSilent
		}
		if w.silent[i] >= wait {
			now |= 1 << i
		}
	}
	f := Finding{Problem: ProblemOneSided}
	if w.take > 0 {
		now &= 1 << (w.take - 1)
	}
	if changed(&w.toldSilent, now, &f.Over) {
		w.tell(w.sayingSilent(f, now, best))
	}
}

func (w *watch) sayingSilent(f Finding, silent uint64, best int) Finding {
	if f.Over {
		f.Value, f.Message = fmt.Sprintf("%d channels", len(w.power)), "every channel is heard"
		if w.take > 0 {
			f.Message = fmt.Sprintf("channel %d, which audio.channel chooses, is heard", w.take)
		}
		return f
	}
	f.Value = fmt.Sprintf("%s of %d", names(silent), len(w.power))
	if w.take > 0 {
		f.Message = fmt.Sprintf("channel %d, which audio.channel chooses, is silent and channel %d is not: choose that one with audio.channel=%d", w.take, best+1, best+1)
		return f
	}
	f.Message = fmt.Sprintf("%s silent, which makes the mix of all quieter: connect what is missing, or hear channel %d alone with audio.channel=%d",
		are(silent), best+1, best+1)
	return f
}

func (w *watch) judgePhase(best int) {
	var now uint64
	n := float64(len(w.power))
	mix := w.allPower / (n * n)
	if mix < cancelled*w.power[best] {
		for i, power := range w.power {
			cross, others := w.cross[i]-power, w.allPower-2*w.cross[i]+power
			if least := silentPart * w.power[best]; power >= least && others >= least && cross < opposed*math.Sqrt(power*others) {
				now |= 1 << i
			}
		}
	}
	if w.right++; now != 0 {
		w.right = 0
	} else if w.right < opposedOver {
		return
	}
	f := Finding{Problem: ProblemOpposite}
	if !changed(&w.toldOpposite, now, &f.Over) {
		return
	}
	f.Value, f.Message = fmt.Sprintf("%d channels", len(w.power)), "the channels do not cancel each other any more"
	if !f.Over {
		choice := w.loudest(now)
		if choice < 0 || w.power[choice] < silentPart*w.power[best] {
			choice = best
		}
		db := math.Min(96, 10*math.Log10(w.power[best]/math.Max(mix, 1e-12)))
		f.Value = fmt.Sprintf("%s of %d: the mix is %.0f dB below channel %d", names(now), len(w.power), db, best+1)
		f.Message = fmt.Sprintf("%s in opposite phase and cancel in the mix of all: turn round the wires of one plug, or hear channel %d alone with audio.channel=%d",
			are(now), choice+1, choice+1)
	}
	w.tell(f)
}

// changed says that the set of what is wrong is to be told: there is more of it than was told,
// or nothing any more.
func changed(told *uint64, now uint64, over *bool) bool {
	before := *told
	*told = now
	*over = now == 0
	return now&^before != 0 || *over && before != 0
}

// names lists the channels of a set that is not empty, counted from 1: "channel 2", "channels
// 2, 3 and 4".
func names(set uint64) string {
	var list []string
	for ; set != 0; set &= set - 1 {
		list = append(list, strconv.Itoa(bits.TrailingZeros64(set)+1))
	}
	if len(list) == 1 {
		return "channel " + list[0]
	}
	last := len(list) - 1
	return "channels " + strings.Join(list[:last], ", ") + " and " + list[last]
}

func are(set uint64) string {
	if bits.OnesCount64(set) == 1 {
		return names(set) + " is"
	}
	return names(set) + " are"
}
