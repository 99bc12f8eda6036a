// Package verify is `rtap verify`: an end-to-end self test against the running pipeline,
// which it meets as a user does.
package verify

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/native"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wav"
)

// What gateways are called.
const (
	primary = "primary"
	standby = "standby"
)

// jfk is what the recording says that every installation has.
const jfk = "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."

type options struct {
	primary  gateway
	standby  []gateway // the first that answers is taken
	required bool      // there must be a standby
	clip     string
	timeout  time.Duration
	json     bool
}

func parseFlags(env lifecycle.Env) (o options, err error) {
	var f service.Flags
	fs := flag.NewFlagSet("rtap verify", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	f.Register(fs)
	host := fs.String("host", "", "`HOST[:PORT]` of the gateway, the port of its /health, or HOST:PORT,WEBSOCKET,EVENTS,TRANSCRIPTS (default as configured)")
	second := fs.String("standby", "auto", "`HOST[:PORT]` of the second gateway, as --host, which must be there then; auto: where there is one; none")
	token := fs.String("token", "", "bearer `token` (default egress.auth_token)")
	fs.StringVar(&o.clip, "clip", "", "WAV `file`, mono 16-bit, with its text beside it in x.txt (default the recording of the mock)")
	fs.DurationVar(&o.timeout, "timeout", 90*time.Second, "for everything")
	fs.BoolVar(&o.json, "json", false, "the list as JSON")
	if err := arguments.None(fs, env.Args); err != nil {
		return o, err
	}
	cfg, err := f.Load(env.Environ)
	if err != nil {
		return o, err
	}
	if *token == "" {
		*token = cfg.Egress.AuthToken
	}
	e := cfg.Egress
	configured := ports{e.HTTPPort, e.WebSocket.Port, e.ZMQ.EventPort, e.ZMQ.TranscriptPort}
	if o.primary, err = find(*host, *token, e.Listen, configured); err != nil {
		return o, lifecycle.Usage(fmt.Errorf("--host %w", err))
	}
	switch *second {
	case "none":
	case "auto":
		beside := configured.next(1)
		if *host != "" && o.primary.ports != configured {
			beside = usual.next(1)
		}
		if beside != o.primary.ports {
			o.standby = append(o.standby, gateway{standby, o.primary.host, beside, *token})
		}
		if o.primary.host != composeStandby {
			o.standby = append(o.standby, gateway{standby, composeStandby, usual, *token})
		}
	default:
		g, err := at(standby, *second, *token, configured)
		if err != nil {
			return o, lifecycle.Usage(fmt.Errorf("--standby %w", err))
		}
		o.standby, o.required = []gateway{g}, true
	}
	return o, nil
}

// composeStandby is the second gateway's name among containers.
const composeStandby = "rtap-standby"

// find gives the gateway that --host names, or the one that is configured.
func find(host, token, listen string, configured ports) (gateway, error) {
	if host != "" {
		return at(primary, host, token, configured)
	}
	if ip := net.ParseIP(listen); listen == "" || ip != nil && ip.IsUnspecified() {
		listen = "127.0.0.1"
	}
	return gateway{primary, listen, configured, token}, nil
}

// Run is `rtap verify`: exit code 1 when a check fails.
func Run(ctx context.Context, env lifecycle.Env) error {
	o, err := parseFlags(env)
	if err != nil {
		return err
	}
	rateHz, pcm, said, err := recording(o.clip)
	if err != nil {
		return lifecycle.Usage(err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	l := &list{out: env.Stdout, asJSON: o.json, Checks: []check{}, StreamID: fmt.Sprintf("verify-%x", time.Now().UnixNano())}
	if l.health(ctx, o.primary) {
		l.pipeline(ctx, o, rateHz, pcm, said)
	}
	return l.finish()
}

// recording reads what is to be said, and the text of it where there is one.
func recording(path string) (rateHz int, pcm []byte, said string, err error) {
	said = jfk
	if path == "" {
		if path, err = native.Locate("jfk"); err != nil {
			return 0, nil, "", fmt.Errorf("the recording: %w: or name one with --clip", err)
		}
	} else {
		raw, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".txt")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, nil, "", fmt.Errorf("the recording's text: %w", err)
		}
		said = strings.TrimSpace(string(raw))
	}
	a, err := wav.Read(path)
	if err != nil {
		return 0, nil, "", err
	}
	pcm = make([]byte, 2*len(a.PCM))
	for i, x := range a.PCM {
		binary.LittleEndian.PutUint16(pcm[2*i:], uint16(int16(math.Round(float64(max(-1, min(1, x)))*math.MaxInt16))))
	}
	return a.SampleRateHz, pcm, said, nil
}

// pipeline says the recording and compares what comes out everywhere.
func (l *list) pipeline(ctx context.Context, o options, rateHz int, pcm []byte, said string) {
	second, found := l.findStandby(ctx, o)
	feeds, ok := l.connect(ctx, o.primary, url.Values{"interim_results": {"true"}})
	if !ok {
		return
	}
	defer feeds.stop()
	var others sockets
	if found {
		if others, found = l.connect(ctx, second, nil); found {
			defer others.stop()
		}
	}
	finals, err := o.primary.speak(ctx, l.StreamID, rateHz, pcm)
	if !l.result("audio in", fmt.Sprintf("%.1f s sent to /v1/listen as stream %s, %d finals came back", float64(len(pcm))/float64(2*rateHz), l.StreamID, len(finals)), err) {
		return
	}
	l.words(finals, said)
	l.compare(ctx, primary, feeds, finals)
	if _, n := feeds.events.all(); n > 0 {
		l.add("events", passed, fmt.Sprintf("%d came on port %d", n, o.primary.events))
	} else {
		l.result("events", "", fmt.Errorf("none came on port %d while somebody spoke", o.primary.events))
	}
	l.replay(ctx, o.primary, l.StreamID, finals)
	l.latency(finals)
	l.metrics(ctx, o.primary)
	if found {
		l.compare(ctx, standby, others, finals)
		l.replay(ctx, second, l.StreamID, finals)
		a, _ := feeds.ws.all()
		b, _ := others.ws.all()
		l.same("primary, standby", a, b)
	}
}

// findStandby looks for the second gateway.
func (l *list) findStandby(ctx context.Context, o options) (gateway, bool) {
	for _, g := range o.standby {
		if _, _, err := g.health(ctx); err == nil || o.required {
			return g, l.health(ctx, g)
		}
	}
	if len(o.standby) > 0 {
		l.add("standby", absent, "there is none; --standby HOST:PORT says where it must be")
	}
	return gateway{}, false
}

// sockets are the sockets of one gateway.
type sockets struct{ ws, zmq, events *feed }

func (f sockets) stop() {
	for _, one := range []*feed{f.ws, f.zmq, f.events} {
		if one != nil {
			one.stop()
		}
	}
}

// connect opens all of them before anybody speaks.
func (l *list) connect(ctx context.Context, g gateway, more url.Values) (f sockets, ok bool) {
	var errs [3]error
	f.ws, errs[0] = g.overWebSocket(ctx, l.StreamID, more)
	f.zmq, errs[1] = g.overZeroMQ(ctx, g.transcripts, "transcript."+l.StreamID, l.StreamID)
	f.events, errs[2] = g.overZeroMQ(ctx, g.events, "event", l.StreamID)
	for i, what := range []string{fmt.Sprintf("WebSocket %d", g.ws), fmt.Sprintf("ZeroMQ %d", g.transcripts), fmt.Sprintf("ZeroMQ %d", g.events)} {
		if errs[i] != nil {
			l.result(g.name+" "+what, "", errs[i])
		}
	}
	if errors.Join(errs[:]...) != nil {
		f.stop()
		return sockets{}, false
	}
	return f, true
}

// compare waits until both feeds have given what is stored, and looks at it.
func (l *list) compare(ctx context.Context, gatewayName string, f sockets, finals []final) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ws, err := f.ws.await(ctx, len(finals))
	l.numbering(f.ws, ws, finals, err)
	zmq, err := f.zmq.await(ctx, len(finals))
	l.numbering(f.zmq, zmq, finals, err)
	l.same(gatewayName+" feeds", ws, zmq)
}
