package simulation

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/obs"
	"github.com/rtap/rtap/pkg/service"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	capture "github.com/rtap/rtap/services/capture/sim"
	egress "github.com/rtap/rtap/services/egress/sim"
	stt "github.com/rtap/rtap/services/stt/sim"
	vad "github.com/rtap/rtap/services/vad/sim"
	"github.com/rtap/rtap/test/simulation/broker"
	"google.golang.org/protobuf/proto"
)

const (
	minSpeech = 4 // frames
	// patience is how long a schedule may take to come to its end once the weather is fair.
	patience = 3 * time.Minute
)

// Options of a schedule.
type Options struct {
	// Frames of audio on each stream.
	Frames int
	// Log gets what the processes log; nil for nothing.
	Log *slog.Logger
}

// Outcome of a schedule.
type Outcome struct {
	// Broken is the first invariant that did not hold; empty for none.
	Broken string
	// What the schedule was made of.
	Finals, Kills, Stops, Cuts, Crashes int
}

// world is one schedule.
type world struct {
	seed    uint64
	random  *rand.Rand
	cfg     *config.Config
	log     *slog.Logger
	server  *broker.Server
	oracle  *oracle
	streams []string
	rooms   map[string]*room
	metrics map[string]*obs.Metrics
	ctx     context.Context
	running sync.WaitGroup
	out     Outcome

	mu        sync.Mutex
	processes []*process
	killed    map[string]bool
}

// process is one of the pipeline's; when it is killed a successor takes its place.
type process struct {
	service, stream string
	n, incarnation  int
	client          *broker.Client
}

func (p *process) name() string {
	return fmt.Sprintf("%s%s-%d.%d", p.service, p.stream, p.n, p.incarnation)
}

// Run runs the schedule of a seed; call it in a bubble of testing/synctest.
func Run(seed uint64, opts Options) Outcome {
	w := newWorld(seed, opts)
	ctx, cancel := context.WithCancel(context.Background())
	w.ctx = ctx
	w.setUp()
	w.trouble(time.Duration(opts.Frames) * frameTime)
	w.server.SetWeather(fair)
	w.finish()
	w.server.Close()
	cancel()
	w.running.Wait()
	w.out.Broken = w.oracle.fault()
	for _, h := range w.oracle.streams {
		w.out.Finals += int(h.seq)
	}
	return w.out
}

var fair = broker.Weather{Near: 2 * time.Millisecond}

func newWorld(seed uint64, opts Options) *world {
	w := &world{
		seed: seed, random: rand.New(rand.NewPCG(seed, 1)), cfg: config.Default(), log: opts.Log, oracle: newOracle(),
		rooms: map[string]*room{}, metrics: map[string]*obs.Metrics{}, killed: map[string]bool{},
	}
	if w.log == nil {
		w.log = slog.New(slog.DiscardHandler)
	}
	v := &w.cfg.VAD
	v.HangoverMS, v.TailMS, v.PreRollMS, v.MinSpeechMS, v.UtteranceEndMS = 96, 64, 96, minSpeech*32, 320
	v.OffsetThreshold, v.MaxSegmentMS, v.LevelIntervalMS = 0.5, 1500, 60000
	w.cfg.STT.AckWait, w.cfg.STT.JobTimeout, w.cfg.STT.MaxDeliveries = 2*time.Second, time.Hour, 100
	w.cfg.Audio.RingBufferSizeMS = 20000 // longer than any outage here
	w.cfg.STT.InterimIntervalMS = []int{0, 160}[w.random.IntN(2)]
	w.server = broker.New(seed, fair, func(write broker.Write) {
		m := w.oracle.observe(write)
		if opts.Log != nil {
			w.log.Debug("stored", "by", write.Client, "subject", write.Subject, "sequence", write.Sequence, "what", brief(m))
		}
	})
	w.streams = []string{"a", "b"}[:1+w.random.IntN(2)]
	for _, id := range w.streams {
		w.rooms[id] = newRoom(newScript(w.random, opts.Frames))
	}
	w.oracle.gone = w.gone
	for _, s := range []string{"capture", "vad", "stt", "egress"} {
		w.metrics[s] = obs.NewMetrics(s, "simulation")
	}
	return w
}

func (w *world) setUp() {
	b, _ := bus.Over(w.cfg, w.log, w.server.Client("operator").JS(), w.server.Client("operator").Core())
	if err := b.Setup(w.ctx); err != nil {
		panic(err)
	}
	w.server.SetWeather(w.bad()) // before anybody's first call
	for n := range 2 {
		for _, id := range w.streams {
			w.start(&process{service: "capture", stream: id, n: n})
		}
		for _, s := range []string{"vad", "stt", "egress"} {
			w.start(&process{service: s, n: n})
		}
	}
}

// start runs the service's own code over a connection of its own.
func (w *world) start(p *process) {
	p.client = w.server.Client(p.name())
	log := w.log.With("process", p.name())
	b, reconnected := bus.Over(w.cfg, log, p.client.JS(), p.client.Core())
	p.client.OnReconnect(reconnected)
	m := cmp.Or(w.metrics[p.name()], w.metrics[p.service])
	rt := &service.Runtime{
		Config: w.cfg, Log: log, Service: p.service, Instance: p.name(), Version: "simulation", Metrics: m,
		Health: obs.NewHealth(p.service, p.name(), "simulation", m), Bus: b,
	}
	w.mu.Lock()
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	name := p.name()
	w.running.Go(func() { // as the bus's Run does, which is why a service begins after it
		for {
			again := b.Reconnected()
			select {
			case <-again:
			case <-w.ctx.Done():
				return
			}
			bus.Retry(w.ctx, log, "setting up", func() error { return b.Setup(w.ctx) })
		}
	})
	w.running.Go(func() {
		switch p.service {
		case "capture":
			room := w.rooms[p.stream]
			_ = capture.Run(w.ctx, rt, p.stream, room.listen(name))
		case "vad":
			_ = vad.Run(w.ctx, rt, func() (vad.Detector, error) { return detector{}, nil })
		case "stt":
			_ = stt.Run(w.ctx, rt, &engine{oracle: w.oracle, random: rand.New(rand.NewPCG(w.seed, uint64(p.n*1000+p.incarnation)))})
		case "egress":
			_ = egress.Run(w.ctx, rt)
		}
	})
}

// kill ends a process and gives it a successor after a while.
func (w *world) kill(p *process, after time.Duration) {
	w.mu.Lock()
	w.killed[p.name()] = true
	w.mu.Unlock()
	p.client.Kill()
	w.running.Go(func() {
		time.Sleep(after)
		w.mu.Lock()
		for i, other := range w.processes {
			if other == p {
				w.processes = append(w.processes[:i], w.processes[i+1:]...)
				break
			}
		}
		w.mu.Unlock()
		w.start(&process{service: p.service, stream: p.stream, n: p.n, incarnation: p.incarnation + 1})
	})
}

// gone says whether a frame of a span is not stored and the process that had it is dead, or
// has been succeeded.
func (w *world) gone(stream string, span *rtapv1.Span, newest uint64, ever map[place]frameWrite) bool {
	stored := map[place]bool{}
	for _, data := range w.server.Stored(bus.StreamAudio, bus.Audio(stream)) {
		f := &rtapv1.Frame{}
		if err := proto.Unmarshal(data, f); err != nil {
			panic(err)
		}
		stored[place{f.GetEpoch(), f.GetFrame()}] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for f := span.GetStartSample() / frameSamples; f*frameSamples < span.GetEndSample(); f++ {
		at := place{span.GetEpoch(), f}
		if !stored[at] && (w.killed[ever[at].writer] || span.GetEpoch() < newest) {
			return true
		}
	}
	return false
}

// bad draws the weather of the schedule's trouble.
func (w *world) bad() broker.Weather {
	r := w.random
	weather := broker.Weather{Near: time.Duration(1+r.IntN(20)) * time.Millisecond, Far: time.Duration(100+r.IntN(1500)) * time.Millisecond}
	if r.IntN(3) > 0 {
		weather.Slow, weather.LostReply = 0.05*r.Float64(), 0.02*r.Float64()
	}
	if r.IntN(3) == 0 {
		weather.LostCall = 0.02 * r.Float64() // as while a cluster elects a leader
	}
	return weather
}

// trouble lets things happen for a time.
func (w *world) trouble(lasts time.Duration) {
	r := w.random
	pace := time.Duration(100+r.IntN(2000)) * time.Millisecond
	for end := time.Now().Add(lasts); time.Now().Before(end) && w.oracle.fault() == ""; {
		time.Sleep(time.Duration(r.ExpFloat64() * float64(pace)))
		w.mu.Lock()
		p := w.processes[r.IntN(len(w.processes))]
		dead := w.killed[p.name()]
		w.mu.Unlock()
		kind, length := r.IntN(10), time.Duration(r.ExpFloat64()*float64(600*time.Millisecond))
		w.log.Info("fault", "process", p.name(), "kind", kind, "length", length)
		switch {
		case dead:
		case kind < 4:
			w.out.Kills++
			w.kill(p, length)
		case kind < 6:
			w.out.Stops++
			p.client.Stop(2 * length)
		case kind < 9:
			w.out.Cuts++
			p.client.Cut(length)
		default:
			w.out.Crashes++
			w.server.Crash(r.IntN(13), min(length, time.Second))
		}
	}
}

// finish waits for the end of every stream, and then for stragglers.
func (w *world) finish() {
	for end := time.Now().Add(patience); w.oracle.fault() == ""; time.Sleep(500 * time.Millisecond) {
		all := true
		for _, id := range w.streams {
			all = all && w.oracle.ended(w.server, id)
		}
		if all {
			break
		}
		if time.Now().After(end) {
			w.oracle.breaks("lost: no end after %v of fair weather: %s", patience, w.state())
			return
		}
	}
	time.Sleep(10 * time.Second)
	if w.oracle.fault() != "" {
		return
	}
	w.server.Look(func() {
		for _, id := range w.streams {
			w.oracle.verdict(w.server, id, w.rooms[id], func(process string) bool { return !w.killed[process] })
		}
	})
}

// state says how far each stream has come.
func (w *world) state() (out string) {
	w.server.Look(func() {
		for id, h := range w.oracle.streams {
			cp := h.checkpoint
			out += fmt.Sprintf("%s: checkpoint at epoch %d frame %d ordinal %d ended %v, %d jobs, %d results, %d log entries; ",
				id, cp.GetEpoch(), cp.GetNextFrame(), cp.GetOrdinal(), cp.GetEnded(), len(h.jobs), len(h.results), len(h.log))
		}
	})
	return out
}
