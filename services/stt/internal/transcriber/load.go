package transcriber

import (
	"math"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

const (
	// loadHalfLife is how fast the load forgets.
	loadHalfLife = time.Second
	// interimShare is the share of one engine's time, taken by what is or will be final, from
	// which on there are no interims: they would take what finals of many streams need.
	interimShare = 0.3
	// queueSeen is how long it counts that a final had others behind it. Where there is a queue the next final is
	// taken within that time, and tells anew.
	queueSeen = 500 * time.Millisecond
	// crowdedShare is the share of all engines' time from which on, with a queue not longer ago than crowdedSeen, there
	// are no speculative drafts: one takes all of its context, may be for nothing, and finals would queue again.
	crowdedShare = 0.6
	crowdedSeen  = 5 * time.Second
)

// Load is how much of its time a process spends on what is or will be final, how long finals wait, and the
// jobs that it has in hand. Workers of one process share it. Safe for concurrent use.
type Load struct {
	hands hands

	mu      sync.Mutex
	engines int     // of the process; 0 is one
	spent   float64 // seconds, forgotten by half in every half-life
	at      time.Time

	waited    time.Duration // mean of live finals, of the last half-life or two
	taken     time.Time     // when the last of them was
	queue     time.Time     // when a final was taken that had others behind it
	live      tally         // finals that somebody waits for
	unhurried tally         // and those of recordings, and given up before
}

// tally counts what happens, and forgets half of it in every half-life.
type tally struct {
	n  float64
	at time.Time
}

func (t *tally) add() { t.n, t.at = t.count()+1, time.Now() }

func (t *tally) count() float64 {
	return t.n * math.Exp2(-time.Since(t.at).Seconds()/loadHalfLife.Seconds())
}

// SetEngines says how many of the process's engines are at work.
func (l *Load) SetEngines(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.engines = n
}

// tookUnhurried notes that a final was taken that nobody waits for.
func (l *Load) tookUnhurried() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unhurried.add()
}

// recordings says whether the queue is theirs. They make one of any length and get all of their context: what live
// finals beside them gave up would hardly shorten it.
func (l *Load) recordings() bool { return l.unhurried.count() > max(0.1, l.live.count()) }

// within says whether a moment is not longer ago than d.
func within(at time.Time, d time.Duration) bool { return !at.IsZero() && time.Since(at) <= d }

// took notes that a final was taken which had waited so long, with so many waiting behind it. More than four times the
// patience, with which hardly any context is left, counts no more: the end of a long queue is soon forgotten.
func (l *Load) took(waited, patience time.Duration, behind uint64) {
	waited = min(waited, 4*patience)
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	kept := 0.0
	if !l.taken.IsZero() {
		kept = math.Exp2(-now.Sub(l.taken).Seconds() / loadHalfLife.Seconds())
	}
	l.waited, l.taken = waited+time.Duration(kept*float64(l.waited-waited)), now
	l.live.add()
	if behind > 0 {
		l.queue = now
	}
}

// queueing returns how long finals wait for one another; 0 where they do not.
func (l *Load) queueing() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !within(l.queue, queueSeen) || l.recordings() {
		return 0
	}
	return l.waited
}

// crowded says whether what will perhaps be final must not take the time of what is.
func (l *Load) crowded() bool {
	share := l.share()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recordings() {
		return false // a draft is how a live final comes before the recordings'
	}
	return within(l.queue, queueSeen) || within(l.queue, crowdedSeen) && share > crowdedShare*float64(max(1, l.engines))
}

// add counts work that has ended now.
func (l *Load) add(spent time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fade()
	l.spent += spent.Seconds()
}

// share returns the part of the recent time, 1 for an engine that was always busy.
func (l *Load) share() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fade()
	return l.spent * math.Ln2 / loadHalfLife.Seconds()
}

func (l *Load) fade() {
	now := time.Now()
	if !l.at.IsZero() {
		l.spent *= math.Exp2(-now.Sub(l.at).Seconds() / loadHalfLife.Seconds())
	}
	l.at = now
}

// room is how many samples a final may have together with its context; 0 for all that it came with. What vad took before it
// sent the job is no waiting. (With it a difference of the clocks goes out where vad runs on the worker's host, unless
// capture's is ahead: that hides as much of the wait.)
func (w *Worker) room(msg jetstream.Msg, job *rtapv1.FinalJob, queued time.Duration) int {
	if job.GetRetry() || job.GetUnhurried() {
		w.Load.tookUnhurried()
		return 0
	}
	stt := w.rt.Config.STT
	patience := time.Duration(stt.ShedContextMS) * time.Millisecond
	// One that comes again has waited for a worker that was lost, and not for other finals.
	if meta, err := msg.Metadata(); err == nil && meta.NumDelivered == 1 {
		w.Load.took(max(0, queued-time.Duration(job.GetVadMs()*float64(time.Millisecond))), patience, meta.NumPending)
	}
	return w.Load.window(time.Duration(stt.ContextMS)*time.Millisecond, patience)
}

// window is how many samples a live final may have together with its context; 0 for all that it came with. Most of
// the work is the context's. So when finals wait for one another each gets the less of it the longer they wait,
// until they keep up.
func (l *Load) window(limit, patience time.Duration) int {
	waited := l.queueing()
	if patience == 0 || waited <= patience {
		return 0
	}
	left := patience.Seconds() / waited.Seconds()
	return max(1, int(limit.Seconds()*left*left*SampleRateHz))
}
